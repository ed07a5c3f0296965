import { clone, mul, tensor1d, type Variable } from '@tensorflow/tfjs-core';
import { captureStep, GPU_BACKEND, param, type Tree } from '@evenkeel/core-tensor';
import { applyUpdates, ema } from '@evenkeel/optimizers';
import { expectClose, expectNoLeak, forEachBackend } from '@evenkeel/testing';
import { expect, it } from 'vitest';
import { free, makeParams, makeTensors, snapshot } from './helpers.ts';

const make = () => ({ a: param(() => tensor1d([1, 2])), deep: [{ b: param(() => tensor1d([3])) }] });

function double(params: ReturnType<typeof make>): void {
  const updates = { a: mul(params.a, 1), deep: [{ b: mul(params.deep[0]!.b, 1) }] };
  applyUpdates(params, updates);
  free(updates);
}

forEachBackend(() => {
  it('update(params, mean) keeps the exponential average of all parameters since init', async () => {
    const average = ema({ decay: 0.75 });
    const params = makeParams();
    const mean = average.init(params);
    const expected = await snapshot(params) as Record<string, number[]>;
    expect(await snapshot(mean)).toEqual(expected);
    for (let i = 0; i < 4; i++) {
      const updates = makeTensors(10 + i);
      applyUpdates(params, updates);
      average.update(params, mean);
      const now = await snapshot(params) as Record<string, number[]>;
      for (const [path, values] of Object.entries(expected)) expected[path] = values.map((value, at) => 0.75 * value + 0.25 * now[path]![at]!);
      free(updates);
    }
    const actual = await snapshot(mean) as Record<string, number[]>;
    for (const [path, values] of Object.entries(expected)) await expectClose(Float32Array.from(actual[path]!), Float64Array.from(values));
    expect(actual).not.toEqual(await snapshot(params));
    free(params, mean);
  });

  it('update(params, mean) leaks nothing and changes neither parameters nor tensors that share the mean\'s values', async () => {
    const average = ema({ decay: 0.5 });
    const params = make();
    const mean = average.init(params) as unknown as { a: Variable };
    average.update(params, mean);
    await expectNoLeak(() => average.update(params, mean));
    const before = clone(mean.a);
    double(params);
    average.update(params, mean);
    expect([...await before.data()]).toEqual([1, 2]);
    expect([...await mean.a.data()]).toEqual([1.5, 3]);
    expect([...await params.a.data()]).toEqual([2, 4]);
    free(params, mean, before);
  });

  it('update(params, values) with warmup has the decay min(decay, (1 + t)/(10 + t)), counts its steps and leaks nothing', async () => {
    const average = ema({ decay: 0.2, warmup: true });
    const params = make();
    const values = average.init(params) as unknown as { mean: ReturnType<typeof make>; steps: Variable } & Tree<Variable>;
    let expected = 1;
    for (const [t, decay] of [0.1, 2 / 11, 0.2, 0.2].entries()) {
      double(params);
      average.update(params, values);
      expected = decay * expected + (1 - decay) * 2 ** (t + 1);
      await expectClose(Float32Array.of((await values.mean.a.data())[0] as number), Float64Array.of(expected));
    }
    expect([...await values.steps.data()]).toEqual([4]);
    await expectNoLeak(() => average.update(params, values));
    const [mean] = await values.mean.a.data();
    average.swap(params, values);
    expect((await params.a.data())[0]).toBe(mean);
    free(params, values);
  });

  it('swap(params, mean) exchanges both, and a second time back, without a copy', async () => {
    const average = ema();
    const params = make();
    const mean = average.init(params);
    double(params);
    const before = await snapshot({ params, mean });
    const { dataId } = params.a;
    await expectNoLeak(() => average.swap(params, mean));
    expect((mean as unknown as { a: Variable }).a.dataId).toBe(dataId);
    expect(await snapshot({ params: mean, mean: params } as unknown as Tree<Variable>)).toEqual(before);
    average.swap(params, mean);
    expect(await snapshot({ params, mean })).toEqual(before);
    free(params, mean);
  });

  it('update(params, mean) with a tree that does not fit names the first parameter', () => {
    const params = make();
    const average = ema();
    expect(() => average.update(params, { a: params.a })).toThrow('ema: mean must have a leaf for deep.0.b, got 1 others');
    expect(() => average.swap(params, { a: params.deep[0]!.b, deep: params.deep })).toThrow('ema: mean.a must have shape [2], got [1]');
    free(params);
  });
});

forEachBackend([GPU_BACKEND], () => {
  it.each([false, true])('update(params, mean) within a captured step does the same, warmup %s', async (warmup) => {
    const run = async (isCaptured: boolean) => {
      const params = makeParams();
      const average = ema({ decay: 0.9, warmup });
      const mean = average.init(params);
      const update = (updates: ReturnType<typeof makeTensors>) => {
        applyUpdates(params, updates);
        average.update(params, mean);
        return [];
      };
      const step = captureStep(update);
      for (let i = 0; i < 6; i++) {
        const updates = makeTensors(20 + i);
        if (isCaptured) step(updates);
        else update(updates);
        free(updates);
      }
      const result = { status: step.status().state, values: await snapshot({ params, mean }) };
      step.dispose();
      free(params, mean);
      return result;
    };
    const [eager, captured] = [await run(false), await run(true)];
    expect(captured).toEqual({ status: 'captured', values: eager.values });
  });
});

it('ema({ decay: 1 }) is refused', () => {
  expect(() => ema({ decay: 1 })).toThrow('ema: decay must be in [0, 1), got 1');
});
