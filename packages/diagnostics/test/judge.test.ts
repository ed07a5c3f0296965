import type { Finding, Reading } from '@evenkeel/core-tensor';
import { monitor, type Thresholds } from '@evenkeel/diagnostics';
import { randomArray } from '@evenkeel/testing';
import { describe, expect, it } from 'vitest';

type Given = { readonly loss?: number; readonly values?: Record<string, readonly number[]> };

/** Readings every 10 steps; what is not given is healthy. */
const runOf = (count: number, at: (i: number, step: number) => Given): Reading[] => {
  const noise = randomArray(count, { std: 0.03, seed: 3 });
  return Array.from({ length: count }, (_, i) => {
    const step = i === 0 ? 1 : 10 * i;
    const { loss, values = {} } = at(i, step);
    return { step, loss: loss ?? 4 * step ** -0.1 + noise[i]!, gradNorm: 1, values };
  });
};

/** What is found at each reading, by its step. */
function judged(readings: readonly Reading[], thresholds: Partial<Thresholds> = {}): Record<string, Finding[]> {
  const { judge } = monitor({ thresholds });
  const found = readings.map((reading, i): [string, Finding[]] => [String(reading.step), [...judge!(reading, readings.slice(0, i))]]);
  return Object.fromEntries(found.filter(([, findings]) => findings.length > 0));
}

const kindsOf = (found: Record<string, Finding[]>): Record<string, string[]> => Object.fromEntries(Object.entries(found).map(([step, findings]) => [step, findings.map(({ kind }) => kind)]));

describe('monitor().judge', () => {
  it('has nothing to say of a healthy run', () => {
    const values = (i: number) => ({
      'blocks.0.attn.entropy': [1 - 0.01 * i, 0.5], 'blocks.0.attn.maxLogit': [3 + 0.2 * i], 'logits.logPartition': [4 + 0.1 * i, 6], 'blocks.0.mlp.up.weight.gradientRms': [1e-3 / (i + 1)],
    });
    expect(judged(runOf(60, (i) => ({ values: values(i) })))).toEqual({});
    expect(judged(runOf(60, () => ({})))).toEqual({});
    const { judge } = monitor();
    expect(judge!({ step: 1, loss: 4, gradNorm: 1, values: {} }, [])).toEqual([]);
  });

  it('says a loss spike with the running median, once', () => {
    const found = judged(runOf(30, (i) => (i === 20 || i === 22 ? { loss: 5 } : {})));
    expect(kindsOf(found)).toEqual({ 200: ['lossSpike'] });
    expect(found[200]![0]!.message).toMatch(/^The loss jumped to 5 in step 200; the median of the 10 readings before is 2\.\d+\.$/);
  });

  it('knows a spike in the first readings by where the run began', () => {
    const found = judged(runOf(4, (i) => ({ loss: [4.2, 4.1, 9, 4][i]! })));
    expect(found[20]![0]!.message).toBe('The loss jumped to 9 in step 20; it was 4.2 at most before.');
  });

  it('takes no scatter for a spike', () => {
    const noise = randomArray(60, { std: 0.3 });
    expect(judged(runOf(60, (i) => ({ loss: 0.5 * Math.exp(noise[i]!) })))).toEqual({}); // ± a third, as of a batch of few examples
  });

  it('says that a run has diverged, since when, and what it had reached', () => {
    const found = judged(runOf(40, (i) => (i >= 20 ? { loss: 3.9 } : {})));
    expect(kindsOf(found)).toEqual({ 200: ['lossSpike'], 240: ['divergence'] });
    expect(found[240]![0]!.message).toMatch(/^The run has diverged: the loss was 2\.[34]\d? around step \d+ and has been above 3\.\d+ since step 200, now 3\.9\.$/);
  });

  it('does not call it divergence when a tiny loss doubles', () => {
    expect(judged(runOf(60, (i) => ({ loss: i < 30 ? 4 * 0.7 ** i : 4 * 0.7 ** 28 })))).toEqual({});
  });

  it('says entropy collapse with layer, heads, value, and since when', () => {
    const entropies = (i: number): number[] => [0.9, i < 7 ? 0.5 : 0.004, 0.8, i < 8 ? 0.1 : 0.0123];
    const found = judged(runOf(12, (i) => ({ values: { 'blocks.3.attn.entropy': entropies(i), 'blocks.4.attn.entropy': [0.9, 0.9, 0.9, 0.9] } })));
    expect(found).toEqual({ 80: [{
      kind: 'entropyCollapse', where: 'blocks.3.attn',
      message: 'Attention has collapsed in blocks.3.attn, head 1: since step 70 each query looks at hardly more than one key. The entropy of head 1 is 0.4 % of what it could be (it was 50 % in step 1).',
    }] });
  });

  it('names several heads, and does not take one low reading for a collapse', () => {
    const low = (heads: readonly number[]) => (i: number): Given => ({ values: { 'blocks.0.attn.entropy': [0, 1, 2].map((head) => (i >= 3 && heads.includes(head) ? 0.001 : 0.6)) } });
    expect(judged(runOf(6, low([0, 2])))[40]![0]!.message).toContain('in blocks.0.attn, heads 0 and 2: since step 30 ');
    expect(judged(runOf(6, low([0, 1, 2])))[40]![0]!.message).toContain('in blocks.0.attn, all 3 heads: ');
    expect(judged(runOf(9, (i) => ({ values: { 'blocks.0.attn.entropy': [i === 4 ? 0.001 : 0.6] } })))).toEqual({});
    const fromTheStart = judged(runOf(3, () => ({ values: { 'blocks.0.attn.entropy': [0.01] } })));
    expect(fromTheStart[10]![0]!.message).toBe('Attention has collapsed in blocks.0.attn, head 0: since step 1 each query looks at hardly more than one key. The entropy of head 0 is 1 % of what it could be.');
  });

  it('foresees that attention logits will break the training, with layer, head and step', () => {
    const law = (step: number): number => 0.02 * step ** 2; // 10000 at step 707
    const found = judged(runOf(80, (_, step) => ({ values: { 'blocks.0.attn.maxLogit': [3, law(step)], 'blocks.1.attn.maxLogit': [4, 5] } })));
    expect(kindsOf(found)).toEqual({ 240: ['logitGrowth'], 710: ['logitGrowth'] }); // no further than three times the steps done
    const [foreseen, passed] = [found[240]![0]!, found[710]![0]!];
    expect(foreseen).toMatchObject({ where: 'blocks.0.attn' });
    expect(foreseen.message).toMatch(/^The largest attention logit of blocks\.0\.attn \(head 1\) is 1152 in step 240 and grows: it will reach 10000, where training breaks down, around step 7\d\d\. /);
    expect(passed.message).toMatch(/^The largest attention logit of blocks\.0\.attn \(head 1\) has passed 10000, where training breaks down: 10082 in step 710\./);
  });

  it('foresees it sooner where growth speeds up', () => {
    const law = (step: number): number => Math.exp(step / 80); // 10000 at step 737
    const found = judged(runOf(80, (_, step) => ({ values: { 'blocks.0.attn.maxLogit': [law(step)] } })));
    const [first] = Object.entries(found);
    expect(Number(first![0])).toBeLessThan(500);
    const predicted = Number(/around step (\d+)/.exec(first![1][0]!.message)![1]);
    expect(predicted).toBeGreaterThan(650);
    expect(predicted).toBeLessThan(850);
  });

  it('does not worry about logits that are small, level, falling or of no law', () => {
    const noise = randomArray(60, { std: 1 });
    for (const law of [(step: number) => 1e-3 * step ** 1.5, () => 300, (step: number) => 5000 / step, (step: number) => 300 * Math.exp(noise[Math.floor(step / 10)]!)]) {
      expect(judged(runOf(60, (_, step) => ({ values: { 'blocks.0.attn.maxLogit': [law(step)] } })))).toEqual({});
    }
  });

  it('says that output logits drift, up or down, since when and from where', () => {
    const found = judged(runOf(30, (i) => ({ values: { 'logits.logPartition': [4 - 3 * i, 6] } })));
    expect(found).toEqual({ 210: [{ // −50 is passed at reading 19, and two more confirm it
      kind: 'outputLogitDrift', where: 'logits',
      message: 'The output logits drift: their log-partition is -59 on average, beyond ±50 since step 190; it was 4 in step 1. A z-loss keeps it near 0.',
    }] });
    expect(kindsOf(judged(runOf(30, (i) => ({ values: { 'logits.logPartition': [4 + 3 * i, 6] } }))))).toEqual({ 180: ['outputLogitDrift'] });
  });

  it('says whose updates vanish beside the optimizer\'s eps, block by block', () => {
    const values = (i: number) => ({
      'tokenEmbedding.weight.gradientRms': [i < 5 ? 1e-3 : 0], 'blocks.0.attn.qkv.weight.gradientRms': [1e-3], 'blocks.0.mlp.up.weight.gradientRms': [i < 3 ? 1e-3 : 2e-9],
      'blocks.0.mlp.up.bias.gradientRms': [i < 3 ? 1e-3 : 5e-8], 'blocks.0.mlp.up.bias.rms': [1e-9], 'blocks.1.mlp.up.weight.gradientRms': [2e-7],
    });
    const found = judged(runOf(20, (i) => ({ values: values(i) })));
    expect(found).toEqual({
      50: [{
        kind: 'vanishingUpdates', where: 'blocks.0',
        message: 'Updates vanish: 2 of 3 parameters of blocks.0, the least blocks.0.mlp.up.weight, get gradients of root mean square 2e-9 in step 50, so near the optimizer\'s eps, 1e-8, that steps are smaller.',
      }],
      70: [{ kind: 'vanishingUpdates', where: 'tokenEmbedding.weight', message: 'Updates vanish: tokenEmbedding.weight gets no gradient at all.' }],
    });
    expect(kindsOf(judged(runOf(20, (i) => ({ values: values(i) })), { eps: 1e-15 }))).toEqual({ 70: ['vanishingUpdates'] });
    expect(kindsOf(judged(runOf(20, (i) => ({ values: values(i) })), { eps: 0 }))).toEqual({ 70: ['vanishingUpdates'] });
  });

  it('says which value is the first that is not finite', () => {
    const found = judged(runOf(4, (i) => ({ loss: i === 3 ? NaN : 4, values: { 'embedding.rms': [1], 'blocks.0.attn.maxLogit': [1, i === 3 ? Infinity : 1], 'blocks.0.out.rms': [i === 3 ? NaN : 1], 'blocks.1.out.rms': [i === 3 ? NaN : 1] } })));
    expect(found).toEqual({ 30: [{ kind: 'nonFinite', where: 'blocks.0.attn', message: 'blocks.0.attn is not finite in step 30; of what is watched it is the first in the order of the model.' }] });
  });

  it('keeps to given thresholds', () => {
    const run = runOf(20, (i, step) => ({ loss: i === 15 ? 4 : 3, values: { 'blocks.0.attn.entropy': [0.2], 'blocks.0.attn.maxLogit': [0.3 * step], 'logits.logPartition': [20, 20] } }));
    expect(kindsOf(judged(run))).toEqual({ 150: ['lossSpike'] });
    expect(kindsOf(judged(run, { lossSpike: 0.5, entropy: 0.3, attentionLogit: 50, logPartition: 10 })))
      .toEqual({ 10: ['entropyCollapse'], 20: ['outputLogitDrift'], 60: ['logitGrowth'], 170: ['logitGrowth'] });
  });

  it('depends on the readings alone: a run that was resumed, from JSON, finds the same', () => {
    const run = runOf(60, (i, step) => ({ ...(i > 40 && { loss: 9 }), values: { 'blocks.0.attn.entropy': [i > 20 && i % 9 !== 0 ? 0.001 : 0.5], 'blocks.0.attn.maxLogit': [0.02 * step ** 2], 'logits.logPartition': [2 * i, 0] } }));
    const found = judged(run);
    expect(new Set(Object.values(kindsOf(found)).flat())).toEqual(new Set(['entropyCollapse', 'logitGrowth', 'outputLogitDrift', 'lossSpike', 'divergence']));
    for (const half of [15, 22, 30, 45]) {
      const { judge } = monitor();
      const saved = JSON.parse(JSON.stringify(run.slice(0, half))) as Reading[];
      const again = run.slice(half).map((reading, i) => [reading.step, [...judge!(reading, [...saved, ...run.slice(half, half + i)])]] as const);
      expect(Object.fromEntries(again.filter(([, findings]) => findings.length > 0))).toEqual(Object.fromEntries(Object.entries(found).filter(([step]) => Number(step) >= run[half]!.step)));
    }
  });

  it('says again what had gone and came back', () => {
    const low = (i: number): boolean => (i >= 3 && i < 10) || (i >= 14 && i < 18) || i >= 40;
    const found = judged(runOf(50, (i) => ({ values: { 'blocks.0.attn.entropy': [low(i) ? 0.001 : 0.6] } })));
    expect(Object.keys(found)).toEqual(['40', '410']); // not at 150: it had been away for four readings only
  });
});
