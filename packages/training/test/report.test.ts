import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readMetrics, renderReport, writeReport, type Metrics, type ReportOptions, type TrainResult } from '@evenkeel/training';
import { describe, expect, it } from 'vitest';
import { runTiny } from './helpers.ts';
import { checkNesting, pathsOf } from './pages.ts';

const result: TrainResult = {
  steps: 40, trainLoss: 1.5, valLoss: 1.75, msPerStep: { median: 62.3456, p10: 58, p90: 67.1 }, peakBytes: 3_500_000,
  interrupted: false, resumedFrom: undefined, checkpoint: 'state/step-00000040.safetensors',
};

/** `count` steps and an evaluation every tenth of them. */
const curves = (count: number, loss: (step: number) => number): Metrics[] => Array.from({ length: count }, (_, i): Metrics[] => {
  const step = i + 1;
  const line: Metrics = { kind: 'step', step, loss: loss(step), learningRate: 1e-3 / step, gradNorm: 2, msPerStep: 5, tokensPerSecond: 1e5 };
  return step % 10 === 0 ? [line, { kind: 'eval', step, valLoss: loss(step) + 0.25 }] : [line];
}).flat();

const page = (options: Partial<ReportOptions> = {}): string =>
  renderReport({ title: 'A run', config: { depth: 4 }, metrics: curves(40, (step) => 1 + 3 / step), result, ...options });

describe('renderReport(options)', () => {
  it('is one well-nested page that asks nothing of a network and runs no script', () => {
    const html = page({ sample: 'text' });
    checkNesting(html);
    expect(html).toMatch(/^<!doctype html>\n<html lang="en">/);
    expect(html).not.toMatch(/<script|<link|<img|<iframe|@import|url\(|https?:|\son\w+=/);
  });

  it('draws training loss, its smoothed curve, validation, learning rate and gradient norm, with axes and a legend', () => {
    const html = page();
    expect(pathsOf(html)).toHaveLength(6);
    expect(html.match(/<circle /g)).toHaveLength(4);
    for (const text of ['Loss by step', '>loss<', '>learning rate<', '>norm before clipping<', '>step<', 'training, smoothed', '>validation<']) expect(html).toContain(text);
    expect(html).toContain('<title>validation 1.35 at step 30</title>');
  });

  it('shows the final numbers, the best validation loss and the configuration by path', () => {
    const html = page({
      config: { model: { depth: 4, betas: [0.9, 0.99], note: null }, data: 'a.txt' },
      metrics: [...curves(40, (step) => 1 + 3 / step), { kind: 'eval', step: 41, valLoss: 1.75 }],
    });
    for (const text of ['1.500', '1.750', 'perplexity 5.755', '1.325', 'at step 40', '62.35 ms', '58 to 67.1 ms', '100,000', '3.3 MiB', '40 steps, finished.']) expect(html).toContain(text);
    for (const [path, value] of [['model.depth', '4'], ['model.betas', '[0.9,0.99]'], ['model.note', 'null'], ['data', 'a.txt']]) {
      expect(html).toContain(`<tr><th scope="row">${path}</th><td>${value}</td></tr>`);
    }
  });

  it('takes the validation loss of the result, which may be that of a longer evaluation, and names the unit of losses', () => {
    const html = page({ result: { ...result, valLoss: 2.5 }, lossUnit: 'nats' });
    expect(html).toContain('<dt>Validation loss</dt><dd>2.500<small>perplexity 12.18</small>');
    expect(html).toContain('>loss (nats)<');
    expect(page({ result: undefined })).toContain('<dt>Validation loss</dt><dd>1.325<');
  });

  it('says what the run is about, and of how many steps the training loss is the mean', () => {
    expect(page({ subtitle: 'sst2 on a.tsv' })).toContain('<p class="status">sst2 on a.tsv. 40 steps, finished.</p>');
    const [many, few, one] = [40, 3, 1].map((count) => page({ metrics: curves(count, () => 1) })) as [string, string, string];
    for (const [html, note] of [[many, 'mean of the last 20 steps'], [few, 'mean of the last 3 steps'], [one, 'of the only step']] as const) expect(html).toContain(note);
  });

  it('says when a run was interrupted or resumed', () => {
    expect(page({ result: { ...result, interrupted: true, resumedFrom: 1200 } })).toContain('40 steps, interrupted; it can be resumed, resumed from step 1,200.');
    expect(page({ result: undefined, metrics: curves(1, () => 2) })).toContain('1 step, so far.');
  });

  it('escapes every text: title, configuration and sample', () => {
    const evil = '</pre><script>alert("1")</script>&\'\u0000';
    const html = page({ title: evil, sample: evil, config: { [evil]: evil, nested: { deep: [evil] } } });
    expect(html).not.toContain('<script');
    expect(html).not.toContain('\u0000');
    expect(html).toContain('<h1>&lt;/pre&gt;&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;&amp;&#39;\ufffd</h1>');
    checkNesting(html);
  });

  it.each([
    ['no step', []], ['one step', curves(1, () => 2)], ['a constant loss', curves(30, () => 0)], ['a negative loss', curves(30, (step) => -step)],
    ['a loss over many orders of magnitude', curves(300, (step) => 10 ** (-step / 10))], ['only evaluations', [{ kind: 'eval', step: 3, valLoss: 2 }]],
  ] as [string, Metrics[]][])('draws %s without a NaN', (_, metrics) => {
    const html = page({ metrics, result: undefined, config: {} });
    checkNesting(html);
    expect(html).not.toMatch(/NaN|Infinity|undefined/);
  });

  it('keeps every curve inside its axes, the smoothed ones too', () => {
    const html = page({ metrics: curves(500, (step) => 1 + 50 / step + Math.sin(step * 12.9898) ** 2) });
    for (const path of pathsOf(html)) {
      path.forEach((value, i) => {
        expect(value).toBeGreaterThanOrEqual(i % 2 === 0 ? 76 : 14);
        expect(value).toBeLessThanOrEqual(i % 2 === 0 ? 782 : 256);
      });
    }
  });

  it('stays small for a long run, and still shows its single worst step', () => {
    const html = page({ metrics: curves(100_000, (step) => (step === 61_234 ? 9 : 2)) });
    expect(html.length).toBeLessThan(250_000);
    const [each] = pathsOf(html) as [number[]];
    const peak = Math.min(...each.filter((_, i) => i % 2 === 1));
    expect(each[each.indexOf(peak, 1) - 1]).toBeCloseTo(76 + (706 * 61_233) / 99_999, 0);
  });
});

it('writeReport(path, options) writes the page of a real run, whole or not at all', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'evenkeel-report-'));
  try {
    const { result: measured, store } = await runTiny();
    const options = { title: 'Tiny', config: { hidden: 13 }, metrics: await readMetrics(store), result: measured };
    await writeReport(join(folder, 'report.html'), options);
    expect(readFileSync(join(folder, 'report.html'), 'utf8')).toBe(renderReport(options));
    expect(readdirSync(folder)).toEqual(['report.html']);
    await expect(writeReport(join(folder, 'none', 'report.html'), options)).rejects.toThrow(/must be writable, got no such file or directory \(ENOENT\)$/);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
