import { param, stateVariable, type Monitor, type Tree } from '@evenkeel/core-tensor';
import { sgd } from '@evenkeel/optimizers';
import { memoryStore, readMetrics, train, type MonitorMetrics, type TrainOptions } from '@evenkeel/training';
import { forEachBackend } from '@evenkeel/testing';
import { add, dispose, max, memory, mul, sub, sum, square, tensor1d, zeros, type Tensor, type Variable } from '@tensorflow/tfjs-core';
import { expect, it } from 'vitest';

type Leaf = Tree<Tensor> & { readonly mean: Tensor };
type P = { weight: Variable };

/** A model with one untrained value: the running sum of its weight, which the loss subtracts. */
function model() {
  const params = { weight: param(() => tensor1d([4, -2])) };
  const values = { mean: stateVariable(() => zeros([2])) };
  const update = (p: Tree<Tensor>, state: Tree<Variable>): void => {
    const { mean } = state as unknown as { mean: Variable };
    mean.assign(add(mul(mean, 0.5), (p as unknown as P).weight) as never);
  };
  return { params, modelState: { values, update } };
}

const options = ({ params, modelState }: ReturnType<typeof model>): TrainOptions<P, Tensor> => ({
  params, modelState, optimizer: sgd({ learningRate: 0.1 }) as never, steps: 6, seed: 1, checkpointEvery: 3,
  batches: (step) => tensor1d([step, 1]),
  loss: (p, batch, { state, observe }) => {
    observe?.('weight', p.weight);
    return sum(square(sub(sub(p.weight, batch), mul((state as Leaf).mean, 0.1))));
  },
});

const monitor: Monitor = {
  every: 2,
  observe: (name, value) => ({ [`${name}.max`]: max(value) }),
  measure: ({ updates }) => ({ 'update.max': max((updates as unknown as P).weight) }),
  judge: (reading, earlier) => [{ kind: 'test', message: `${reading.step} after ${earlier.map(({ step }) => step).join(', ') || 'none'}` }],
};

forEachBackend(() => {
  it('train({ modelState }) follows each update, and a resumed run goes on with it bit for bit', async () => {
    const before = memory().numTensors;
    const run = async (steps: number, files = new Map()) => {
      const made = model();
      const result = await train({ ...options(made), steps, store: memoryStore(files), resume: true });
      const read = [...await made.params.weight.data(), ...await made.modelState.values.mean.data()];
      dispose([made.params, made.modelState.values] as never);
      return { read, result, files };
    };
    const whole = await run(6);
    const half = await run(3);
    const resumed = await run(6, half.files);
    expect(resumed.result.resumedFrom).toBe(3);
    expect(resumed.read).toEqual(whole.read);
    expect(whole.read.slice(2).every((value) => value !== 0)).toBe(true);
    expect(memory().numTensors).toBe(before);
  });

  it('train({ monitor }) keeps what the monitor makes of the numbers it read', async () => {
    const made = model();
    const store = memoryStore();
    const unpack: Monitor['unpack'] = (values) => Object.fromEntries(Object.entries(values).map(([name, [value]]) => [`${name} doubled`, [2 * value!]]));
    await train({ ...options(made), steps: 1, monitor: { ...monitor, unpack, judge: ({ values }) => [{ kind: 'test', message: Object.keys(values).join() }] }, store });
    const [reading] = (await readMetrics(store)).filter((each): each is MonitorMetrics => each.kind === 'monitor');
    expect(reading!.values).toEqual({ 'weight.max doubled': [8], 'update.max doubled': [expect.closeTo(1.2, 5)] });
    expect(reading!.findings[0]!.message).toBe('weight.max doubled,update.max doubled');
    dispose([made.params, made.modelState.values] as never);
  });

  it('train({ monitor }) reads what was observed in the steps that are due, and changes nothing', async () => {
    const before = memory().numTensors;
    const [plain, made] = [model(), model()];
    await train(options(plain));
    const store = memoryStore();
    await train({ ...options(made), monitor, store });
    expect([...await made.params.weight.data()]).toEqual([...await plain.params.weight.data()]);
    const readings = (await readMetrics(store)).filter((each): each is MonitorMetrics => each.kind === 'monitor');
    expect(readings.map(({ step }) => step)).toEqual([1, 2, 4, 6]);
    expect(readings[0]!.values).toEqual({ 'weight.max': [4], 'update.max': [expect.closeTo(0.6, 5)] });
    expect(readings.map(({ findings }) => findings[0]!.message)).toEqual(['1 after none', '2 after 1', '4 after 1, 2', '6 after 1, 2, 4']);
    dispose([plain.params, plain.modelState.values, made.params, made.modelState.values] as never);
    expect(memory().numTensors).toBe(before);
  });
});
