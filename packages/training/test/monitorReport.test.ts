import type { Finding } from '@evenkeel/core-tensor';
import { renderReport, type Metrics } from '@evenkeel/training';
import { describe, expect, it } from 'vitest';
import { checkNesting } from './pages.ts';

const reading = (step: number, values: Record<string, number[]>, findings: Finding[] = []): Metrics[] => [
  { kind: 'step', step, loss: 2, gradNorm: 1, msPerStep: 5 }, { kind: 'monitor', step, values, findings },
];
const report = (metrics: readonly Metrics[]): string => {
  const html = renderReport({ title: 'A run', config: {}, metrics });
  checkNesting(html);
  return html;
};

/** What a chart draws: its part of the page. */
const chartOf = (html: string, title: string): string => html.split('<figure').find((part) => part.includes(`aria-label="${title} by step"`))!;
const legendOf = (chart: string): string[] => [...chart.split('<svg')[0]!.matchAll(/<\/i>([^<]*)</g)].map(([, name]) => name!);

const block = (n: number, step: number): Record<string, number[]> => ({
  [`blocks.${n}.attn.entropy`]: [1 / (n + step), 0.5], [`blocks.${n}.attn.maxLogit`]: [step, 10 ** (n + 1) * step], [`blocks.${n}.out.rms`]: [n + 1],
  [`blocks.${n}.attn.qkv.weight.rms`]: [0.1], [`blocks.${n}.mlp.up.weight.rms`]: [0.3], [`blocks.${n}.mlp.up.weight.gradientRms`]: [1e-3], [`blocks.${n}.mlp.up.weight.updateRms`]: [1e-4],
});

describe('renderReport({ metrics }) of a monitored run', () => {
  const steps = [1, 10, 20];
  const metrics = steps.flatMap((step) => reading(step, { ...block(10, step), ...block(2, step), ...block(0, step), 'embedding.rms': [0.02], 'logits.logPartition': [4, 6], 'tokenEmbedding.weight.rms': [1], 'mine.blocks.1.thing': [7] }));

  it('draws entropy and largest logit of each block, in the order of the blocks', () => {
    const html = report(metrics);
    for (const title of ['Attention entropy', 'Largest attention logit']) {
      expect(html).toContain(`<h2>${title}</h2>`);
      expect(legendOf(chartOf(html, title))).toEqual(['block 0', 'block 2', 'block 10']);
      expect(chartOf(html, title)).not.toMatch(/NaN|undefined/);
    }
  });

  it('takes the mean of the heads\' entropies and the largest of their logits, on a logarithmic axis', () => {
    const html = report(reading(1, { 'blocks.0.attn.entropy': [0, 1], 'blocks.0.attn.maxLogit': [1, 100] }).concat(reading(2, { 'blocks.0.attn.entropy': [1, 1], 'blocks.0.attn.maxLogit': [10, 7] }), reading(3, { 'blocks.0.attn.entropy': [0, 0], 'blocks.0.attn.maxLogit': [1, 1] })));
    const [entropy, logit] = ['Attention entropy', 'Largest attention logit'].map((title) => chartOf(html, title).match(/class="curve line" d="([^"]*)"/)![1]!.match(/[\d.]+/g)!.map(Number));
    expect(entropy![1]! - entropy![3]!).toBeCloseTo((entropy![5]! - entropy![3]!) / 2, 0); // half way between 0 and 1
    expect(logit![3]! - logit![1]!).toBeCloseTo(logit![5]! - logit![3]!, 1); // 100, 10, 1
    expect(logit![5]).toBeGreaterThan(logit![1]!);
  });

  it('shows residual stream, log-partition, and the mean over each block\'s parameters, and what it does not know by its name', () => {
    const html = report(metrics);
    expect(legendOf(chartOf(html, 'Residual stream'))).toEqual(['embedding', 'block 0', 'block 2', 'block 10']);
    expect(legendOf(chartOf(html, 'Log-partition of the output'))).toEqual(['mean', 'largest']);
    expect(legendOf(chartOf(html, 'Parameters'))).toEqual(['outside the blocks', 'block 0', 'block 2', 'block 10']);
    expect(legendOf(chartOf(html, 'Gradients'))).toEqual(['block 0', 'block 2', 'block 10']);
    expect(legendOf(chartOf(html, 'Updates'))).toEqual(['block 0', 'block 2', 'block 10']);
    expect(chartOf(html, 'mine.thing')).toBeDefined();
    expect(html).toContain('<p class="note">The log-partition normalises the output&#39;s probabilities; a z-loss keeps it near 0. The residual stream is');
  });

  it('shows where training breaks down once a logit comes near it', () => {
    const logits = (value: number): string => report(reading(1, { 'blocks.0.attn.maxLogit': [value] }));
    expect(logits(900)).not.toContain('training usually breaks down');
    expect(logits(1100)).toContain('>training usually breaks down<');
  });

  it('leaves a gap where a value is not finite or was not read', () => {
    const html = report([...reading(1, { 'blocks.0.attn.entropy': [1] }), ...reading(2, { 'blocks.0.attn.entropy': [NaN] }), ...reading(3, { 'blocks.0.attn.entropy': [0.5] }), ...reading(4, {})]);
    expect(chartOf(html, 'Attention entropy').match(/d="([^"]*)"/)![1]!.match(/M/g)).toHaveLength(2);
    expect(html).not.toContain('NaN');
  });

  it('says what the monitor found in its words, what went on once, and when', () => {
    const finding = (message: string, where?: string): Finding => ({ kind: 'entropyCollapse', ...(where && { where }), message });
    const html = report([
      ...reading(10, {}, [finding('Block 0 collapses <here>.', 'blocks.0')]), ...reading(1200, {}, [finding('Block 0 has collapsed.', 'blocks.0'), finding('Since step 1200 all is lost.')]),
    ]);
    expect(html).toContain('<h2>What the monitor found</h2><span class="badge warning">2 findings</span>');
    expect(html).toContain('<li class="warning">Block 0 has collapsed. (in 2 readings from step 10 to 1,200)</li><li class="warning">Since step 1200 all is lost.</li>');
    expect(report(reading(10, {}, [finding('<b>x</b>')]))).toContain('&lt;b&gt;x&lt;/b&gt; (at step 10)');
    expect(report(reading(10, {}))).toContain('<p>Nothing unusual in 1 reading.</p>');
    expect(report([{ kind: 'step', step: 1, loss: 2, gradNorm: 1, msPerStep: 5 }])).not.toContain('monitor found');
  });
});
