import { captureStep, GPU_BACKEND, ifFinite, type StepNumber } from '@evenkeel/core-tensor';
import { adamw, ema } from '@evenkeel/optimizers';
import { forEachBackend } from '@evenkeel/testing';
import { train } from '@evenkeel/training';
import { add, clone, dispose, dispose as free, fill, mean, mul, ones, sum, tensor1d, tidy, variable, type Tensor, type Tensor1D, type Variable } from '@tensorflow/tfjs-core';
import { expect, it } from 'vitest';

const START = [1, 2, 3, 4];
const valuesOf = async (x: Tensor): Promise<number[]> => [...await x.data()];

/** A variable whose first values nobody else has, or also a tensor. */
function makeVariable(isShared: boolean): { w: Variable; others: Tensor[] } {
  const first = tensor1d(START);
  const w = variable(first) as Variable;
  if (isShared) return { w, others: [first] };
  first.dispose();
  return { w, others: [] };
}

forEachBackend([GPU_BACKEND], () => {
  it.each([true, false])('variables keep their values where ifFinite stays closed from the first run on: shared with a tensor %s', async (isShared) => {
    const { w, others } = makeVariable(isShared);
    const step = captureStep(({ x }: { x: Tensor }) => {
      const loss = sum(mul(w, x));
      ifFinite([loss], () => w.assign(add(w, ones([4])) as never));
      return { loss, after: sum(w) };
    });
    for (const [value, expected] of [[NaN, START], [NaN, START], [1, [2, 3, 4, 5]], [NaN, [2, 3, 4, 5]], [1, [3, 4, 5, 6]], [NaN, [3, 4, 5, 6]]] as const) {
      const x = fill([4], value);
      const results = step({ x });
      expect(await valuesOf(w)).toEqual(expected);
      expect(await valuesOf(results.after)).toEqual([expected.reduce((a, b) => a + b, 0)]);
      dispose([x, results]);
    }
    step.dispose();
    free([w, others]);
  });

  it('variables keep their values where ifFinite is closed in the first run of a new shape, while a clone is alive', async () => {
    const { w } = makeVariable(false);
    const step = captureStep(({ x }: { x: Tensor }) => {
      const loss = mean(mul(w, mean(x, 0)));
      ifFinite([loss], () => w.assign(add(w, ones([4])) as never));
      return loss;
    });
    for (let i = 0; i < 20; i++) tidy(() => void step({ x: fill([5, 4], 1) }));
    const kept = clone(w);
    tidy(() => void step({ x: fill([7, 4], NaN) }));
    expect(await valuesOf(w)).toEqual([21, 22, 23, 24]);
    expect(await valuesOf(kept)).toEqual([21, 22, 23, 24]);
    step.dispose();
    free([w, kept]);
  });

  it.each([['after', 'run'], ['after', 'skip'], ['within', 'skip']] as const)('a step that is refused %s ifFinite (%s) keeps variables where it stays closed', async (where, onRefusal) => {
    const { w } = makeVariable(false);
    const counts: boolean[] = [];
    const step = captureStep(({ x }: { x: Tensor }, { k }: { k: number | StepNumber }) => {
      const loss = sum(mul(w, x));
      counts.push(ifFinite([loss], () => {
        w.assign(add(w, ones([4])) as never);
        if (where === 'within') expect(Number(k)).toBe(0);
        w.assign(add(w, ones([4])) as never);
      }, onRefusal));
      if (where === 'after') expect(Number(k)).toBe(0);
      return loss;
    });
    const x = fill([4], NaN);
    step({ x }, { k: 0 }).dispose();
    expect(step.status().state).toBe('eager');
    expect(await valuesOf(w)).toEqual(START);
    expect(counts).toEqual([where === 'after']);
    step.dispose();
    free([w, x]);
  });

  it('a step that throws behind ifFinite keeps variables where it stays closed', async () => {
    const { w } = makeVariable(true);
    const step = captureStep(({ x }: { x: Tensor }) => {
      ifFinite([sum(mul(w, x)) as Tensor], () => {
        w.assign(add(w, ones([4])) as never);
        throw new Error('on purpose');
      });
      return x;
    });
    const x = fill([4], NaN);
    expect(() => step({ x })).toThrow('on purpose');
    expect(await valuesOf(w)).toEqual(START);
    step.dispose();
    free([w, x]);
  });

  it.each([true, false])('train() keeps parameters that share their values in a step with NaN: %s', async (isShared) => {
    const { w, others } = makeVariable(isShared);
    const run = train({
      params: { w }, seed: 1, steps: 3, optimizer: adamw({ learningRate: 0.1 }),
      batches: () => ({ x: fill([4], NaN) }), loss: (p, { x }: { x: Tensor }) => sum(mul(p.w as Tensor, x)),
    });
    await expect(run).rejects.toThrow('loss must be finite, got NaN in step 1');
    expect(await valuesOf(w)).toEqual(START);
    free([w, others]);
  });

  it('train() with a running mean does an overflowing step again as without one', async () => {
    const finalOf = async (withMean: boolean): Promise<number[]> => {
      const { w } = makeVariable(false);
      const average = ema({ decay: 0.9 });
      const values = average.init({ w });
      await train({
        params: { w }, ...(withMean && { modelState: { values, update: average.update } as never }), seed: 1, steps: 3, lossScale: 'dynamic',
        optimizer: adamw({ learningRate: 0.1, weightDecay: 0 }),
        batches: () => ({ x: fill([4], 3e14) as Tensor1D }), loss: (p, { x }: { x: Tensor }) => sum(mul(p.w as Tensor, x)),
      });
      const found = await valuesOf(w);
      free([w, values] as never);
      return found;
    };
    const plain = await finalOf(false);
    expect(plain.every((value, i) => value < (START[i] as number))).toBe(true);
    expect(await finalOf(true)).toEqual(plain);
  });
});
