import { foldSeed, uniformValues, useDevice, type Finding, type GradientTransform, type Reading } from '@evenkeel/core-tensor';
import { monitor, type Thresholds } from '@evenkeel/diagnostics';
import { gpt, type GptParams, type GptTechniques } from '@evenkeel/models-gpt';
import { qkNorm } from '@evenkeel/norms';
import { adamw, chain, clipByGlobalNorm } from '@evenkeel/optimizers';
import { NonFiniteError, train } from '@evenkeel/training';
import { wasm } from '@evenkeel/wasm-kernels';
import { dispose, tensor2d, type Tensor2D } from '@tensorflow/tfjs-core';
import { beforeAll, describe, expect, it } from 'vitest';

const SIZES = { vocabSize: 17, contextLength: 16, depth: 3, dim: 32, numHeads: 4 } as const;
const BATCH = 8;

/** Walks on a ring of 17 symbols: two steps on, or seven, or the symbol before once more. */
function batchOf(step: number): { inputs: Tensor2D; targets: Tensor2D } {
  const draws = uniformValues(BATCH * 18, foldSeed(5, 'walk', step));
  const rows = Array.from({ length: BATCH }, (_, b) => {
    const walk = [Math.floor(17 * draws[18 * b]!)];
    for (let t = 1; t <= 16; t++) walk.push(draws[18 * b + t]! < 0.6 ? (walk[t - 1]! + 2) % 17 : draws[18 * b + t]! < 0.9 ? (walk[t - 1]! + 7) % 17 : walk[Math.max(0, t - 2)]!);
    return walk;
  });
  const part = (from: number): Tensor2D => tensor2d(rows.map((row) => row.slice(from, from + 16)), [BATCH, 16], 'int32');
  return { inputs: part(0), targets: part(1) };
}

type Run = { readonly readings: readonly Reading[]; readonly findings: readonly (Finding & { readonly step: number })[]; readonly losses: readonly number[]; readonly error?: string };

type RunOptions = GptTechniques & { learningRate: number; steps: number; every?: number; clip?: number; thresholds?: Partial<Thresholds> };

async function run({ learningRate, steps, every = 5, clip = 1, thresholds = {}, ...techniques }: RunOptions): Promise<Run> {
  const model = gpt({ ...SIZES, ...techniques });
  const params = model.init({ seed: 2 });
  const losses: number[] = [];
  let failure: string | undefined;
  const readings: Reading[] = [];
  const findings: (Finding & { step: number })[] = [];
  const core = adamw({ learningRate, weightDecay: 0 }) as GradientTransform;
  try {
    await train({
      params, steps, seed: 1, batches: batchOf, monitor: monitor({ every, thresholds }), optimizer: clip > 0 ? chain(clipByGlobalNorm(clip), core) : core,
      loss: (p, batch, context) => model.loss(batch, p as GptParams, context),
      callbacks: {
        onStep: ({ loss }) => void losses.push(loss),
        onReading: ({ step, values, findings: found }) => {
          readings.push({ step, loss: losses.at(-1)!, gradNorm: 0, values });
          findings.push(...found.map((finding) => ({ ...finding, step })));
        },
      },
    });
  } catch (error) {
    if (!(error instanceof NonFiniteError)) throw error;
    failure = error.message;
  } finally {
    dispose(params as never);
  }
  return { readings, findings, losses, ...(failure !== undefined && { error: failure }) };
}

const kindsOf = ({ findings }: Run): Set<string> => new Set(findings.map(({ kind }) => kind));

// Runs that break down are chaotic: with plain SIMD they are the same bits on every machine.
beforeAll(() => useDevice('wasm', [wasm({ simd: 'plain' })]));

describe('a GPT under monitor()', () => {
  it('that learns well has no findings', async () => {
    const { findings, losses, readings } = await run({ learningRate: 3e-3, steps: 200 });
    expect(findings).toEqual([]);
    expect(readings).toHaveLength(41);
    expect(losses.at(-1)).toBeLessThan(0.6 * losses[0]!);
  });

  it('with an absurd learning rate is said to break down: the loss jumps, attention collapses, first in block 0', async () => {
    const { findings } = await run({ learningRate: 0.3, steps: 50 });
    expect(findings[0]).toMatchObject({ kind: 'lossSpike', step: 5 });
    const collapse = findings.find(({ kind }) => kind === 'entropyCollapse')!;
    expect(collapse).toMatchObject({ where: 'blocks.0.attn' });
    expect(collapse.message).toMatch(/^Attention has collapsed in blocks\.0\.attn, .*since step \d+ each query looks at hardly more than one key\. The entropy of head \d is .* % of what it could be \(it was 100 % in step 1\)\.$/);
    expect(findings.some(({ kind, where }) => kind === 'logitGrowth' && where === 'blocks.0.attn')).toBe(true);
  });

  it('with norms of queries and keys has no logits that grow at the same learning rate', async () => {
    const { findings, readings } = await run({ learningRate: 0.3, steps: 50, qkNorm: qkNorm() });
    expect(findings.filter(({ kind }) => kind === 'logitGrowth')).toEqual([]);
    const largest = Math.max(...readings.flatMap(({ values }) => Object.entries(values).filter(([name]) => name.endsWith('.maxLogit')).flatMap(([, logits]) => logits)));
    expect(largest).toBeLessThan(100);
  });

  it('in post-norm has first blocks that stop learning, as their gradients come near eps', async () => {
    const { findings } = await run({ learningRate: 0.05, steps: 40, clip: 0, placement: 'post' });
    const vanishing = findings.filter(({ kind }) => kind === 'vanishingUpdates').map(({ where }) => where);
    expect(vanishing).toContain('blocks.0');
    expect(vanishing).not.toContain('blocks.2');
  });

  it('is known to break down before it does: growing logits are foreseen within a factor of three of the steps left', async () => {
    const { findings } = await run({ learningRate: 0.1, steps: 90, every: 2, clip: 0, thresholds: { attentionLogit: 2000 } });
    const of = (pattern: RegExp) => findings.find(({ kind, where, message }) => kind === 'logitGrowth' && where === 'blocks.0.attn' && pattern.test(message))!;
    const [foreseen, passed] = [of(/will reach/), of(/has passed/)];
    expect(foreseen.step).toBeLessThan(0.7 * passed.step);
    const left = Number(/around step (\d+)/.exec(foreseen.message)![1]) - foreseen.step;
    expect(left).toBeGreaterThan((1 / 3) * (passed.step - foreseen.step));
    expect(left).toBeLessThan(3 * (passed.step - foreseen.step));
  });

  it('that fails in a step says why in the error: which block overflowed', async () => {
    const failed = await run({ learningRate: 3, steps: 10, clip: 0, placement: 'none' });
    expect(failed.error).toMatch(/ The monitor finds in this step: The loss jumped to \S+ in step \d; .* The largest attention logit of blocks\.\d\.attn /);
    expect(kindsOf(failed)).toEqual(new Set());
  });
});
