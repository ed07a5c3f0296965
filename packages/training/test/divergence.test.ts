import type { Finding, Monitor, Reading } from '@evenkeel/core-tensor';
import { memoryStore, NonFiniteError, readMetrics, train, type MonitorMetrics, type StepContext, type TrainOptions } from '@evenkeel/training';
import { expectNoLeak } from '@evenkeel/testing';
import { max, mul, type Tensor2D } from '@tensorflow/tfjs-core';
import { describe, expect, it } from 'vitest';
import { makeParams, tinyLoss, tinyRun, type TinyBatch, type TinyParams } from './fixtures/tinyRun.ts';
import { free } from './helpers.ts';

const loss = (params: TinyParams, batch: TinyBatch, context: StepContext) => {
  context.observe?.('blocks.0.x', batch.x);
  return tinyLoss(params, batch, context);
};

/** A run whose batch of step 20 is infinite. */
const diverging = (params: TinyParams, judge: Monitor['judge'], given: Partial<TrainOptions<TinyParams, TinyBatch>> = {}): TrainOptions<TinyParams, TinyBatch> => {
  const { batches } = tinyRun(params);
  return tinyRun(params, {
    loss, monitor: { every: 8, observe: (name, value) => ({ [name]: max(value) }), judge }, ...given,
    batches: (step) => {
      const { x, y } = batches(step) as TinyBatch;
      if (step !== 20) return { x, y };
      const infinite = mul(x, Infinity) as Tensor2D;
      x.dispose();
      return { x: infinite, y };
    },
  });
};

const failureOf = async (judge: Monitor['judge'], given: Partial<TrainOptions<TinyParams, TinyBatch>> = {}): Promise<NonFiniteError> => {
  const params = makeParams();
  try {
    return await train(diverging(params, judge, given)).then(() => { throw new Error('it did not fail'); }, (error: NonFiniteError) => error);
  } finally {
    free(params);
  }
};

const finding = (message: string): Finding => ({ kind: 'test', where: 'blocks.0', message });

describe('NonFiniteError of train({ monitor })', () => {
  it('ends with what the monitor says of the failing step, whose values it reads for that', async () => {
    const seen: Reading[] = [];
    const error = await failureOf((reading) => { seen.push(reading); return Number.isFinite(reading.loss) ? [] : [finding('the input is infinite'), finding('So is the loss.')]; });
    expect(error).toBeInstanceOf(NonFiniteError);
    expect(error.message).toMatch(/^train: loss must be finite, got NaN in step 21\. .* usually helps\. The monitor finds in this step: the input is infinite\. So is the loss\.$/);
    expect(error.findings).toEqual([finding('the input is infinite'), finding('So is the loss.')]);
    expect(seen.map(({ step }) => step)).toEqual([1, 8, 16, 21]);
    expect(Number.isFinite(seen.at(-1)!.values['blocks.0.x']![0])).toBe(false);
  });

  it('ends with the last findings before, where there are none about the failing step', async () => {
    const error = await failureOf(({ step }) => (step === 8 ? [finding('entropy falls')] : []));
    expect(error.message).toMatch(/ usually helps\. The monitor last found, at step 8: entropy falls\.$/);
    expect(error.findings).toEqual([finding('entropy falls')]);
  });

  it('remembers findings from before a resumption', async () => {
    const store = memoryStore();
    const judge: Monitor['judge'] = ({ step }) => (step === 8 ? [finding('entropy falls')] : []);
    const params = makeParams();
    await train(diverging(params, judge, { steps: 12, store }));
    const error = await train(diverging(params, judge, { store, resume: true })).catch((cause: Error) => cause);
    expect((error as Error).message).toMatch(/The monitor last found, at step 8: entropy falls\.$/);
    free(params);
  });

  it('is as it was where the monitor has nothing to say or cannot bear the values', async () => {
    for (const judge of [undefined, () => [], ({ loss: value }: Reading) => { if (Number.isFinite(value)) return []; throw new Error('no number'); }]) {
      const error = await failureOf(judge);
      expect(error.message).toMatch(/ A smaller learning rate, a longer warm-up or clipping usually helps\.$/);
      expect(error.findings).toEqual([]);
    }
  });

  it('says the first four of many findings', async () => {
    const error = await failureOf(() => ['a', 'b', 'c', 'd', 'e', 'f'].map(finding));
    expect(error.message).toMatch(/The monitor finds in this step: a\. b\. c\. d\. And 2 more\.$/);
  });

  it('leaves no tensor behind', async () => {
    const params = makeParams();
    await expectNoLeak(() => train(diverging(params, () => [finding('x')])), { throws: 'The monitor finds' });
    free(params);
  });
});

it('readMetrics(store) gives back a monitor\'s NaN and infinities, which JSON has no words for', async () => {
  const store = memoryStore();
  const params = makeParams();
  const poison: Monitor = { every: 1, observe: (name, value) => ({ [`${name}.nan`]: mul(max(value), NaN), [`${name}.low`]: mul(max(mul(value, 0)), 0), [`${name}.inf`]: max(mul(value, Infinity)) }) };
  await train(tinyRun(params, { loss, steps: 1, monitor: poison, store }));
  const { values } = (await readMetrics(store)).find(({ kind }) => kind === 'monitor') as MonitorMetrics;
  expect(values).toEqual({ 'blocks.0.x.nan': [NaN], 'blocks.0.x.low': [0], 'blocks.0.x.inf': [Infinity] });
  free(params);
});
