import { param, randomNormal, ShapeError, stateVariable, type Monitor } from '@evenkeel/core-tensor';
import { sgd } from '@evenkeel/optimizers';
import { memoryStore, readMetrics, train, type MonitorMetrics, type StepContext, type TrainOptions } from '@evenkeel/training';
import { expectClose, expectNoLeak, forEachBackend } from '@evenkeel/testing';
import { add, div, matMul, max, mean, mul, scalar, square, sub, sum, tensor, tensor2d, zeros, type Tensor, type Tensor2D, type Variable } from '@tensorflow/tfjs-core';
import { describe, expect, it } from 'vitest';
import { free } from './helpers.ts';

type P = { weight: Variable };
type B = { x: Tensor; y: Tensor };

const [ROWS, IN, RATE] = [12, 3, 0.1];
const first = [0.5, -1, 2];
const rowsOf = (step: number): number[][] => Array.from({ length: ROWS }, (_, row) => Array.from({ length: IN + 1 }, (_, i) => Math.sin(1 + 7 * row + 3 * i + 5 * step)));
const batchOf = (step: number): B => ({ x: tensor2d(rowsOf(step).map((row) => row.slice(0, IN))), y: tensor2d(rowsOf(step).map((row) => row.slice(IN))) });
const params = (): P => ({ weight: param(() => tensor2d(first, [IN, 1])) });
const loss = ({ weight }: P, { x, y }: B): Tensor => mean(square(sub(matMul(x as Tensor2D, weight as unknown as Tensor2D), y)));

const options = (given: Partial<TrainOptions<P, B>> = {}): TrainOptions<P, B> =>
  ({ params: params(), loss, batches: batchOf, optimizer: sgd({ learningRate: RATE }), steps: 5, seed: 1, ...given });

/** Gradient descent on the whole batch, in float64. */
function oracle(steps: number): { weight: number[]; losses: number[] } {
  const weight = [...first];
  const losses = Array.from({ length: steps }, (_, step) => {
    const rows = rowsOf(step).map((row) => ({ row, error: weight.reduce((all, w, i) => all + w * row[i]!, -row[IN]!) }));
    const slope = weight.map((_, i) => rows.reduce((all, { row, error }) => all + (2 * error * row[i]!) / ROWS, 0));
    slope.forEach((each, i) => { weight[i]! -= RATE * each; });
    return rows.reduce((all, { error }) => all + error ** 2 / ROWS, 0);
  });
  return { weight, losses };
}

async function run(given: Partial<TrainOptions<P, B>>): Promise<{ weight: Float32Array; losses: number[] }> {
  const made = options(given);
  const losses: number[] = [];
  await train({ ...made, callbacks: { onStep: (each) => void losses.push(each.loss) } });
  const weight = await made.params.weight.data<'float32'>();
  free(made.params);
  return { weight: Float32Array.from(weight), losses };
}

forEachBackend(() => {
  it.each([1, 2, 3, 4, 12])('train({ microBatches: %d }) takes the steps of the whole batch, within rounding', async (microBatches) => {
    const { weight, losses } = await run({ microBatches });
    const expected = oracle(5);
    await expectClose(weight, Float32Array.from(expected.weight), { rtol: 2e-6, atol: 2e-6 });
    await expectClose(Float32Array.from(losses), Float32Array.from(expected.losses), { rtol: 2e-6, atol: 2e-6 });
  });

  it('train({ microBatches, lossScale }) gives the numbers of a run without a loss scale', async () => {
    expect(await run({ microBatches: 4, lossScale: 'dynamic' })).toEqual(await run({ microBatches: 4 }));
  });

  it('train({ microBatches, modelState, monitor }) updates the state once per step, and observes the first part of the batch', async () => {
    const made = options({ steps: 3 });
    const values = { count: stateVariable(() => scalar(0)), seen: stateVariable(() => zeros([1])) };
    const monitor: Monitor = {
      every: 1,
      observe: (name, value) => ({ [name]: max(value) }),
      measure: ({ grads }) => ({ grad: mul((grads as unknown as P).weight, 1) }),
    };
    const store = memoryStore();
    await expectNoLeak(() => train({
      ...made, store, microBatches: 3, monitor,
      loss: (p, batch, context) => {
        context.observe?.('y', batch.y);
        return add(loss(p, batch), mul((context.state as unknown as typeof values).count, 0));
      },
      modelState: { values, update: (_, state) => { const { count } = state as unknown as typeof values; count.assign(add(count, 1)); } },
    }).then(() => undefined));
    expect((await values.count.data())[0]).toBe(3);
    const readings = (await readMetrics(store)).filter((each): each is MonitorMetrics => each.kind === 'monitor');
    expect(readings.map((each) => each.values.y![0])).toEqual([0, 1, 2].map((step) => Math.fround(Math.max(...rowsOf(step).slice(0, 4).map((row) => row[IN]!)))));
    const slope = oracle(1).weight.map((w, i) => (first[i]! - w) / RATE); // the gradient of the whole batch, not that of a part
    await expectClose(Float32Array.from(readings[0]!.values.grad!), Float32Array.from(slope), { rtol: 1e-5, atol: 1e-5 });
    free(made.params, values);
  });

  it('train({ microBatches }) gives each part its rows in order, the step, and a seed of its own', async () => {
    const seen: { rows: number[]; step: number; seed: StepContext['seed'] }[] = [];
    const made = options({ steps: 2, capture: false });
    const pending: Promise<void>[] = [];
    await train({
      ...made, microBatches: 3,
      loss: (p, batch, { step, seed }) => {
        const place = seen.push({ rows: [], step, seed }) - 1;
        pending.push(batch.y.data().then((data) => { seen[place]!.rows = [...data]; }));
        return loss(p, batch);
      },
    });
    await Promise.all(pending);
    expect(seen.map(({ step }) => step)).toEqual([0, 0, 0, 1, 1, 1]);
    expect(new Set(seen.map(({ seed }) => seed)).size).toBe(6);
    expect(seen.flatMap(({ rows }) => rows)).toEqual([0, 1].flatMap((step) => rowsOf(step).map((row) => Math.fround(row[IN]!))));
    free(made.params);
  });
});

describe('train({ microBatches })', () => {
  it('holds the activations of one part at a time', async () => {
    const [rows, width] = [64, 512];
    const peakOf = async (microBatches: number): Promise<number> => {
      const wide = { weight: param(() => randomNormal([1, width], { seed: 1 })) };
      const { peakBytes } = await train({
        ...options({ steps: 1, microBatches }), params: wide,
        batches: (step) => ({ x: randomNormal([rows, 1], { seed: step }), y: zeros([rows, 1]) }),
        loss: (p, { x, y }) => mean(square(sub(square(square(matMul(x as Tensor2D, p.weight as unknown as Tensor2D))), y))),
      });
      free(wide);
      return peakBytes;
    };
    const [whole, parts] = [await peakOf(1), await peakOf(8)];
    expect(whole).toBeGreaterThan(3 * 4 * rows * width); // three activations are kept for the backward pass
    expect(parts).toBeLessThan(whole / 6);
  });

  it.each([
    ['a batch that is not a multiple', () => ({ x: zeros([10, 3]), y: zeros([10, 1]) }), 'train: batches.x must have a first axis that is a multiple of microBatches = 4, got [10, 3]'],
    ['tensors of different length', () => ({ x: zeros([8, 3]), y: zeros([4, 1]) }), 'train: batches.y must have a first axis of 8, like the other tensors that are cut into micro-batches, got [4, 1]'],
    ['a scalar', () => ({ x: zeros([8, 3]), y: scalar(1) }), 'train: batches.y must have a first axis of 8, like the other tensors that are cut into micro-batches, got []'],
  ] as const)('refuses %s', async (_, make, message) => {
    const made = options();
    await expectNoLeak(() => train({ ...made, microBatches: 4, batches: () => make() as B }), { throws: message });
    await expect(train({ ...made, microBatches: 4, batches: () => make() as B })).rejects.toBeInstanceOf(ShapeError);
    free(made.params);
  });

  it.each([
    ['typed arrays', { x: new Float32Array(8) }, 'train: batches.x must be a tensor to be cut into 4 micro-batches, got object'],
    ['an empty batch', {}, 'train: batches must give tensors to be cut into 4 micro-batches, got none'],
  ] as const)('refuses %s', async (_, batch, message) => {
    const made = options();
    await expectNoLeak(() => train({ ...made, microBatches: 4, batches: () => batch as unknown as B }), { throws: message });
    free(made.params);
  });

  it('refuses a number that is none', async () => {
    const made = options();
    await expect(train({ ...made, microBatches: 0 })).rejects.toThrow('train: microBatches must be an integer ≥ 1, got 0');
    await expect(train({ ...made, microBatches: 1.5 })).rejects.toThrow('train: microBatches must be an integer ≥ 1, got 1.5');
    free(made.params);
  });

  it('frees the sum of the gradients when a later part throws', async () => {
    const made = options();
    let calls = 0;
    await expectNoLeak(() => train({ ...made, microBatches: 4, loss: (p, batch) => { if (calls++ === 2) throw new Error('on purpose'); return loss(p, batch); } }), { throws: 'on purpose' });
    free(made.params);
  });
});

it('train({ microBatches }) weighs each part the same, however many of its targets are ignored', async () => {
  const made = { weight: param(() => tensor([1])) };
  const losses: number[] = [];
  await train({
    params: made, steps: 1, seed: 0, microBatches: 2, optimizer: sgd({ learningRate: 1 }),
    batches: () => ({ x: tensor2d([[1], [1], [4], [4]]), counts: tensor2d([[1], [1], [1], [0]]) }),
    loss: (p, { x, counts }: { x: Tensor; counts: Tensor }) => div(sum(mul(mul(x, p.weight), counts)), sum(counts)),
    callbacks: { onStep: (each) => void losses.push(each.loss) },
  });
  expect(losses).toEqual([(1 + 4) / 2]); // over the whole batch at once it were (1 + 1 + 4) / 3
  free(made);
});
