import { captureStep, GPU_BACKEND, ifFinite, param, ShapeError, valueAndGrad, type StepNumber } from '@evenkeel/core-tensor';
import { forEachBackend, useBackend } from '@evenkeel/testing';
import { add, cast, dispose, grad, keep, log, memory, mul, pow, scalar, setBackend, sum, tensor1d, tidy, time, type Tensor, type Variable } from '@tensorflow/tfjs-core';
import { describe, expect, it } from 'vitest';

const valuesOf = async (x: Tensor): Promise<number[]> => [...await x.data()];
const variableOf = (...values: number[]): Variable => param(() => tensor1d(values));

/** Calls the step with each input in turn, and gives what came out. */
async function outputs(step: (x: Tensor) => Tensor, inputs: readonly (readonly number[])[]): Promise<number[][]> {
  const seen: number[][] = [];
  for (const values of inputs) {
    const x = tensor1d([...values]);
    const y = step(x);
    seen.push(await valuesOf(y));
    dispose([x, y]);
  }
  return seen;
}
const counted = (count: number) => Array.from({ length: count }, (_, i) => [i, i + 1]);

forEachBackend([GPU_BACKEND], () => {
  describe('a captured step is right, or says that it is not one', () => {
    it.each(['first', 'reshaped'])('where it assigns an input to a variable (%s)', async (kind) => {
      const [v, u] = [variableOf(0, 0), variableOf(0, 0)];
      const step = captureStep((x: Tensor) => {
        const y = add(v, x);
        v.assign(x as never);
        if (kind === 'reshaped') u.assign(x as never);
        return y;
      });
      const inputs = counted(9);
      expect(await outputs(step, inputs)).toEqual(inputs.map(([a, b], i) => [a! + (inputs[i - 1]?.[0] ?? 0), b! + (inputs[i - 1]?.[1] ?? 0)]));
      expect(await valuesOf(v)).toEqual(inputs.at(-1));
      if (kind === 'reshaped') expect(await valuesOf(u)).toEqual(inputs.at(-1));
      expect(step.status().state).toBe('captured');
      step.dispose();
      dispose([v, u]);
    });

    it('where a constant changes its signs only', async () => {
      let sign = 1;
      const step = captureStep((x: Tensor) => {
        sign = -sign;
        return mul(x, tensor1d([sign, sign]));
      });
      expect(await outputs(step, Array.from({ length: 8 }, () => [1, 2]))).toEqual(Array.from({ length: 8 }, (_, i) => (i % 2 === 0 ? [-1, -2] : [1, 2])));
      expect(step.status()).toMatchObject({ state: 'eager' });
      step.dispose();
    });

    it('where it takes turns with tensors from outside, or counts in a result', async () => {
      const [w1, w2] = [tensor1d([1, 1]), tensor1d([2, 2])];
      let [turn, count] = [0, 0];
      const turning = captureStep((x: Tensor) => add(x, turn++ % 2 === 0 ? w1 : w2));
      expect(await outputs(turning, Array.from({ length: 8 }, () => [1, 2]))).toEqual(Array.from({ length: 8 }, (_, i) => (i % 2 === 0 ? [2, 3] : [3, 4])));
      const counting = captureStep(() => scalar(count++));
      expect((await outputs(counting as never, counted(8))).flat()).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
      turning.dispose();
      counting.dispose();
      dispose([w1, w2]);
    });

    it('under a gradient', async () => {
      const v = tensor1d([1, 2, 3]);
      const step = captureStep((x: Tensor) => mul(x, v));
      const x = tensor1d([1, 1, 1]);
      for (let i = 0; i < 4; i++) step(x).dispose();
      const dx = grad((y) => sum(add(step(y), y)))(x);
      expect(await valuesOf(dx)).toEqual([2, 3, 4]);
      const { grads } = valueAndGrad((p) => sum(step(p.x as Tensor)), { x });
      expect(await valuesOf(grads.x as Tensor)).toEqual([1, 2, 3]);
      step.dispose();
      dispose([v, x, dx, grads]);
    });

    it('while tf.time measures it', async () => {
      const step = captureStep((x: Tensor) => pow(add(x, 1), 2));
      const seen: number[][] = [];
      for (let i = 0; i < 6; i++) {
        const x = tensor1d([i, i + 1]);
        let y: Tensor | undefined;
        await time(() => { y = step(x); });
        seen.push((await valuesOf(y as Tensor)).map(Math.round));
        dispose([x, y as Tensor]);
      }
      expect(seen).toEqual(Array.from({ length: 6 }, (_, i) => [(i + 1) ** 2, (i + 2) ** 2]));
      step.dispose();
    });

    it('for inputs that the CPU backend has cast', async () => {
      await useBackend('cpu');
      const whole = tensor1d([2, 4, 6], 'int32');
      const x = cast(whole, 'float32');
      await setBackend(GPU_BACKEND);
      const step = captureStep((y: Tensor) => mul(y, 2));
      for (let i = 0; i < 5; i++) {
        const y = step(x);
        expect(await valuesOf(y)).toEqual([4, 8, 12]);
        y.dispose();
      }
      step.dispose();
      dispose([whole, x]);
    });

    it('where it keeps what it made', async () => {
      const kept: Tensor[] = [];
      const step = captureStep((x: Tensor) => {
        kept.push(keep(mul(x, 2)));
        return add(x, 1);
      });
      await outputs(step, counted(9));
      for (const [i, each] of kept.entries()) expect(await valuesOf(each)).toEqual([2 * i, 2 * (i + 1)]);
      expect(kept).toHaveLength(9);
      expect(step.status()).toMatchObject({ state: 'eager', reason: '1 tensors that it made were kept' });
      step.dispose();
      dispose(kept);
    });

    it('where it returns its input, and is refused', async () => {
      const x = tensor1d([3, 4]);
      const step = captureStep((y: Tensor, { k }: { k: number | StepNumber }) => (`${k}` === 'none' ? mul(y, 2) : y));
      for (let i = 0; i < 7; i++) {
        const y = step(x, { k: i });
        expect(await valuesOf(y)).toEqual([3, 4]);
        y.dispose();
      }
      expect(step.status()).toMatchObject({ state: 'eager' });
      expect(await valuesOf(x)).toEqual([3, 4]);
      step.dispose();
      x.dispose();
    });
  });

  describe('ifFinite within a captured step', () => {
    it('guards what was computed before it, and a read-back does not open it', async () => {
      const v = variableOf(1);
      const step = captureStep((x: Tensor) => {
        const next = add(v, log(x)) as Tensor;
        const loss = sum(log(x));
        ifFinite([loss], () => v.assign(next as never));
        return loss;
      });
      await outputs(step, [[1], [-1], [-1], [1], [-1], [1], [-1], [-1], [-1], [1]]);
      expect(await valuesOf(v)).toEqual([1]);
      expect(step.status().state).toBe('captured');
      step.dispose();
      v.dispose();
    });

    it('takes scalars from the CPU, and nothing but float32 scalars', async () => {
      const v = variableOf(0);
      const step = captureStep((x: Tensor) => {
        ifFinite([scalar(1)], () => v.assign(add(v, x) as never));
        return add(x, 0);
      });
      await outputs(step, [[1], [2], [3], [4], [5]]);
      expect(await valuesOf(v)).toEqual([15]);
      expect(() => ifFinite([tensor1d([1, NaN])], () => {})).toThrow(ShapeError);
      expect(() => ifFinite([scalar(1, 'int32')], () => {})).toThrow('ifFinite: values must be float32 scalars, got int32 []');
      step.dispose();
      v.dispose();
    });
  });

  it('recording again and again, as variables are replaced from outside, holds no more memory', async () => {
    const v = variableOf(...new Array<number>(50_000).fill(1));
    const large = new Float32Array(50_000).fill(0.5);
    const step = captureStep((x: Tensor) => sum(mul(add(v, tensor1d(large)), x)));
    const run = async (): Promise<{ bytes: number; buffers: number }> => {
      for (let i = 0; i < 25; i++) {
        tidy(() => v.assign(add(v, 0) as never));
        await outputs(step, [[1]]);
      }
      return { bytes: (memory() as unknown as { numBytesAllocatedInGPU: number }).numBytesAllocatedInGPU, buffers: memory().numDataBuffers };
    };
    const before = await run();
    const after = await run();
    expect(after.buffers).toBe(before.buffers);
    expect(after.bytes).toBeLessThan(before.bytes + 1e6);
    step.dispose();
    v.dispose();
  });

  it('reading values that are on the CPU gives them, whatever happens to the tensor next', async () => {
    const x = tensor1d([1, 2]);
    const reading = x.data();
    x.dispose();
    expect([...await reading]).toEqual([1, 2]);
    const w = variableOf(1);
    const first = w.data();
    const step = captureStep((y: Tensor) => {
      w.assign(add(w, y) as never);
      return add(w, 0);
    });
    await outputs(step, [[1], [1], [1], [1], [1], [1]]);
    expect([...await first]).toEqual([1]);
    step.dispose();
    w.dispose();
  });
});
