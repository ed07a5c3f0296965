import { memory, mul, sqrt, sum, tensor1d, zeros, type Tensor } from '@tensorflow/tfjs-core';
import { param, type GradientTransform } from '@evenkeel/core-tensor';
import { sgd } from '@evenkeel/optimizers';
import { memoryStore, NonFiniteError, readMetrics, train, type StepContext, type StepMetrics } from '@evenkeel/training';
import { expectNoLeak, forEachBackend } from '@evenkeel/testing';
import { describe, expect, it } from 'vitest';
import { makeBatch, makeParams, tinyLoss, tinyRun, type TinyBatch, type TinyParams } from './fixtures/tinyRun.ts';
import { free, metricsOf, runTiny, valuesOf } from './helpers.ts';

forEachBackend(() => {
  it('train(options) learns, and reports steps, losses, durations and the peak of memory', async () => {
    const { result, store } = await runTiny({ steps: 120, evalEvery: 50, checkpointEvery: 60 });
    const metrics = await readMetrics(store);
    const losses = metrics.filter((each): each is StepMetrics => each.kind === 'step').map((each) => each.loss);
    expect(losses).toHaveLength(120);
    expect(result.trainLoss).toBeCloseTo(losses.slice(-20).reduce((a, b) => a + b) / 20, 12);
    expect(result.trainLoss).toBeLessThan(losses[0]! / 2);
    expect(metrics.filter((each) => each.kind === 'eval').map((each) => each.step)).toEqual([50, 100, 120]);
    expect(metrics.at(-1)).toEqual({ kind: 'eval', step: 120, valLoss: result.valLoss });
    expect(result).toMatchObject({ steps: 120, interrupted: false, resumedFrom: undefined, checkpoint: 'state/step-00000120.safetensors' });
    const { p10, median, p90 } = result.msPerStep;
    expect(p10).toBeGreaterThan(0);
    expect([p10, median, p90]).toEqual([p10, median, p90].sort((a, b) => a - b));
    // Parameters (78 floats), both moments and one gradient are alive together.
    expect(result.peakBytes).toBeGreaterThan(4 * 4 * 78);
  });

  it('train(options) with one seed gives the same metrics bit for bit, with another seed other ones', async () => {
    const [first, second, other] = [await runTiny({ steps: 9 }), await runTiny({ steps: 9 }), await runTiny({ steps: 9, seed: 4 })];
    expect(second.metrics).toEqual(first.metrics);
    expect(second.values).toEqual(first.values);
    expect(other.metrics[0]).not.toEqual(first.metrics[0]);
  });

  it('train(options) leaks nothing: tensors in batches are freed and the parameters stay', async () => {
    const params = makeParams();
    const made: TinyBatch[] = [];
    await expectNoLeak(async () => void await train(tinyRun(params, { batches: (step) => { made.push(makeBatch(step)); return made.at(-1)!; } })));
    expect(made.every(({ x, y }) => x.isDisposed && y.isDisposed)).toBe(true);
    expect(params.down.isDisposed).toBe(false);
    free(params);
  });

  it('train(options) keeps the number of tensors constant from step to step', async () => {
    const params = makeParams();
    const counts: number[] = [];
    await train(tinyRun(params, { steps: 100, evalEvery: 100, callbacks: { onStep: () => void counts.push(memory().numTensors) } }));
    expect(new Set(counts).size).toBe(1);
    free(params);
  });
});

describe('train(options) leaks nothing when', () => {
  const failing = async (overrides: Partial<Parameters<typeof tinyRun>[1]>, message: string): Promise<void> => {
    const params = makeParams();
    await expectNoLeak(() => train(tinyRun(params, overrides)), { throws: message });
    free(params);
  };
  const atStep = <A extends unknown[], R>(step: number, f: (...args: A) => R): ((...args: A) => R) => {
    let calls = 0;
    return (...args) => {
      if (calls++ === step) throw new Error('thrown on purpose');
      return f(...args);
    };
  };

  it('the loss throws after it made tensors', () => failing({
    loss: (params, batch, context) => {
      const loss = tinyLoss(params, batch, context);
      if (context.step === 3) throw new Error('thrown on purpose');
      return loss;
    },
  }, 'thrown on purpose'));

  it('the loss is no scalar', () => failing({ loss: (_, { x }) => mul(x, 2) }, 'must return one float32 number'));

  it('the loss does not use a parameter', () => failing({ loss: (params) => sum(params.down) }, 'no gradient reached blocks.0.up'));

  it('batches throws', () => failing({ batches: atStep(2, makeBatch) }, 'thrown on purpose'));

  it('evaluate throws', () => failing({ evaluate: atStep(1, async () => 1) }, 'thrown on purpose'));

  it('a callback throws', () => failing({ callbacks: { onStep: atStep(4, () => {}) } }, 'thrown on purpose'));

  it('the optimizer throws', () => {
    const broken: GradientTransform = { init: () => ({ mu: param(() => zeros([2])) }), update: () => { throw new Error('thrown on purpose'); } };
    return failing({ optimizer: broken }, 'thrown on purpose');
  });

  it('the loss becomes NaN', () => failing({ loss: (params, batch, context) => mul(tinyLoss(params, batch, context), context.step === 5 ? NaN : 1) }, 'got NaN'));
});

describe('train(options) with a loss that is not finite', () => {
  const diverging = (factor: number) => (params: TinyParams, batch: TinyBatch, context: StepContext): Tensor =>
    mul(tinyLoss(params, batch, context), context.step === 9 ? factor : 1);

  it.each([NaN, Infinity, -Infinity])('stops on %d, names the step and leaves parameters, metrics and checkpoint as they were', async (factor) => {
    const params = makeParams();
    const store = memoryStore();
    const seen: Record<string, number[]>[] = [];
    const run = train(tinyRun(params, { store, loss: diverging(factor), callbacks: { onStep: async () => void seen.push(await valuesOf(params)) } }));
    const error: unknown = await run.catch((cause: unknown) => cause);
    expect(error).toBeInstanceOf(NonFiniteError);
    expect(error).toMatchObject({ step: 10, quantity: 'loss', value: factor });
    expect((error as Error).message).toBe(
      `train: loss must be finite, got ${factor} in step 10. All parameters are finite; the gradient of blocks.0.up is the first that is not. `
      + 'A smaller learning rate, a longer warm-up or clipping usually helps.');
    expect(await valuesOf(params)).toEqual(seen.at(-1));
    expect([...store.files.keys()]).toEqual(['metrics.jsonl', 'state/step-00000004.safetensors', 'state/step-00000008.safetensors']);
    expect((await readMetrics(store)).at(-1)).toMatchObject({ kind: 'step', step: 9 });
    free(params);
  });

  it('stops before the update when only the gradient is infinite', async () => {
    const params = { a: param(() => tensor1d([1, 2])), root: param(() => tensor1d([4, 0])) };
    const run = train({
      params, steps: 3, seed: 0, optimizer: sgd({ learningRate: 1 }), batches: () => ({}),
      loss: (p) => sum(mul(p.a, sqrt(p.root))), // 2, with the slope of the root at 0
    });
    await expect(run).rejects.toThrow('train: gradient norm must be finite, got Infinity in step 1. All parameters are finite; the gradient of root is the first that is not.');
    await expect(run).rejects.toMatchObject({ name: 'NonFiniteError', quantity: 'gradient norm', path: 'root' });
    expect(await valuesOf(params)).toEqual({ a: [1, 2], root: [4, 0] });
    free(params);
  });

  it('names a parameter that is not finite already', async () => {
    const params = makeParams();
    const run = train(tinyRun(params, { callbacks: { onStep: ({ step }) => { if (step === 2) params.down.assign(mul(params.down, NaN)); } } }));
    await expect(run).rejects.toThrow('got NaN in step 3. Parameter down is the first that is not finite.');
    free(params);
  });

  it('refuses to save a parameter that is not finite', async () => {
    const params = makeParams();
    const store = memoryStore();
    const run = train(tinyRun(params, { store, callbacks: { onStep: ({ step }) => { if (step === 8) params.down.assign(mul(params.down, Infinity)); } } }));
    await expect(run).rejects.toThrow(/^train: params\.down must be finite to be saved, got -?Infinity after step 8\./);
    expect(await store.list('state')).toEqual(['step-00000004.safetensors']);
    free(params);
  });

  it('stops on a validation loss that is NaN', async () => {
    const params = makeParams();
    await expect(train(tinyRun(params, { evaluate: async () => NaN }))).rejects.toThrow('train: validation loss must be finite, got NaN after step 7');
    free(params);
  });
});

describe('train(options)', () => {
  it('train({ batches }) takes typed arrays and promises', async () => {
    const params = { weight: param(() => tensor1d([3, -2])) };
    await expectNoLeak(async () => void await train({
      params, steps: 20, seed: 1, optimizer: sgd({ learningRate: 0.4 }),
      batches: async (step) => ({ target: Float32Array.of(1, 2), step }),
      loss: (p, { target }) => sum(mul(mul(p.weight, 1), mul(p.weight, tensor1d(target)))),
    }));
    expect(Math.abs((await params.weight.data())[0]!)).toBeLessThan(1e-3);
    free(params);
  });

  it('train({ loss }) is told the step from 0, a seed of its own each time, and that it trains', async () => {
    const params = makeParams();
    const seen: StepContext[] = [];
    await train(tinyRun(params, { steps: 4, loss: (p, batch, context) => { seen.push(context); return tinyLoss(p, batch, context); } }));
    expect(seen.map(({ step }) => step)).toEqual([0, 1, 2, 3]);
    expect(new Set(seen.map(({ seed }) => seed)).size).toBe(4);
    expect(seen.every((context) => context.train)).toBe(true);
    free(params);
  });

  it('train({ callbacks }) awaits each callback in the order of the metrics', async () => {
    const events: string[] = [];
    const later = (text: string) => new Promise<void>((resolve) => setTimeout(() => { events.push(text); resolve(); }, 1));
    await runTiny({
      steps: 2, evalEvery: 2, checkpointEvery: 1,
      callbacks: { onStep: ({ step }) => later(`step ${step}`), onEval: ({ step }) => later(`eval ${step}`), onCheckpoint: ({ path }) => later(path) },
    });
    expect(events).toEqual(['step 1', 'state/step-00000001.safetensors', 'step 2', 'eval 2', 'state/step-00000002.safetensors']);
  });

  it('train({ learningRate, tokensPerStep }) writes them into the metrics; without they are absent', async () => {
    const { store } = await runTiny({ steps: 1 });
    expect((await readMetrics(store))[0]).toMatchObject({ kind: 'step', step: 1, learningRate: 0.005, tokensPerSecond: expect.any(Number) as number });
    const bare = await runTiny({ steps: 1, learningRate: undefined, tokensPerStep: undefined, evaluate: undefined });
    expect(Object.keys((await readMetrics(bare.store))[0]!)).toEqual(['kind', 'step', 'loss', 'gradNorm', 'msPerStep']);
    expect(bare.result.valLoss).toBeUndefined();
  });

  it('train(options) without a store writes nothing and lets timers run', async () => {
    const params = makeParams();
    const controller = new AbortController();
    setTimeout(() => controller.abort(), 30);
    const result = await train(tinyRun(params, { steps: 5000, evalEvery: 5000, signal: controller.signal }));
    expect(result).toMatchObject({ interrupted: true, checkpoint: undefined });
    expect(result.steps).toBeGreaterThan(0);
    free(params);
  });

  it('train({ keepCheckpoints }) keeps the newest', async () => {
    const { store } = await runTiny({ keepCheckpoints: 3 });
    expect((await store.list('state')).sort()).toEqual(['step-00000024.safetensors', 'step-00000028.safetensors', 'step-00000030.safetensors']);
  });

  it('train(options) out of range names the option', async () => {
    const params = makeParams();
    for (const [overrides, message] of [
      [{ steps: 0 }, 'train: steps must be an integer ≥ 1, got 0'],
      [{ seed: -1 }, 'train: seed must be an integer ≥ 0, got -1'],
      [{ evalEvery: 0 }, 'train: evalEvery must be an integer ≥ 1, got 0'],
      [{ checkpointEvery: 1.5 }, 'train: checkpointEvery must be an integer ≥ 1, got 1.5'],
      [{ keepCheckpoints: 0 }, 'train: keepCheckpoints must be an integer ≥ 1, got 0'],
      [{ microBatch: 2 } as object, /^train: options must be among params, loss, .*, microBatches, .*, got microBatch$/],
    ] as const) await expect(train(tinyRun(params, overrides))).rejects.toThrow(message);
    free(params);
  });

  it('two runs at the same time keep their own count of memory and leave tfjs as it was', async () => {
    const before = memory().numBytes;
    const [a, b] = await Promise.all([runTiny(), runTiny()]);
    expect(Math.min(a.result.peakBytes, b.result.peakBytes)).toBeGreaterThan(before);
    expect(memory().numBytes).toBe(before);
    expect(await metricsOf(a.store)).toEqual(await metricsOf(b.store));
  });
});
