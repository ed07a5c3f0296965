import {
  captureStep, everyStep, foldSeed, GPU_BACKEND, ifFinite, param, perStep, stepScalar, uniformValues, valueAndGrad, type Params, type StepNumber,
} from '@evenkeel/core-tensor';
import { dropout } from '@evenkeel/layers';
import { adamw, applyUpdates, clipByGlobalNorm, chain, globalNorm, scaleByAdam, scaleByLearningRate } from '@evenkeel/optimizers';
import { forEachBackend } from '@evenkeel/testing';
import {
  add, backend, dispose, matMul, mean, memory, mul, scalar, square, sub, sum, tensor, tensor1d, tidy, zeros, type Scalar, type Tensor, type Tensor2D, type Variable,
} from '@tensorflow/tfjs-core';
import { afterEach, describe, expect, it, vi } from 'vitest';

const numberOf = async (x: Tensor): Promise<number> => (await x.data())[0] as number;

/** A tiny regression with dropout, the learning rate on a schedule. */
function problem(optimizerName: 'adamw' | 'composed') {
  const params = { weight: param(() => tensor(uniformValues(30, 1, -1, 1), [6, 5])), bias: param(() => zeros([5])) } as unknown as Params;
  const schedule = (step: number): number => 0.02 / (1 + step / 50);
  const optimizer = optimizerName === 'adamw'
    ? chain(clipByGlobalNorm(1), adamw({ learningRate: schedule }))
    : chain(clipByGlobalNorm(1), scaleByAdam(), scaleByLearningRate(schedule));
  const state = optimizer.init(params);
  const step = ({ x, y }: { x: Tensor2D; y: Tensor2D }, { seed }: { seed: number | StepNumber }) => {
    const { value, grads } = valueAndGrad((p) => {
      const { weight, bias } = p as unknown as { weight: Tensor2D; bias: Tensor };
      const hidden = dropout(add(matMul(x, weight), bias), { rate: 0.3, seed: foldSeed(seed, 'drop'), train: true });
      return mean(square(sub(hidden, y))) as Scalar;
    }, params);
    const norm = globalNorm(grads);
    ifFinite([value, norm], () => applyUpdates(params, optimizer.update(grads, state, params)));
    return { loss: value, norm };
  };
  const batch = (i: number) => ({ x: tensor(uniformValues(48, foldSeed(5, i), -1, 1), [8, 6]) as Tensor2D, y: tensor(uniformValues(40, foldSeed(6, i), -1, 1), [8, 5]) as Tensor2D });
  return { params, state, step, batch, free: () => dispose([params, state] as never) };
}

async function losses(kind: 'eager' | 'captured', optimizerName: 'adamw' | 'composed', count: number) {
  const { step, batch, state, params, free } = problem(optimizerName);
  const captured = captureStep(step);
  const all: number[] = [];
  for (let i = 0; i < count; i++) {
    const inputs = batch(i);
    const { loss, norm } = kind === 'eager' ? tidy(() => step(inputs, { seed: foldSeed(3, i) })) : captured(inputs, { seed: foldSeed(3, i) });
    all.push(await numberOf(loss), await numberOf(norm));
    dispose([loss, norm, inputs]);
  }
  const status = captured.status();
  const weight = [...await ((params as unknown as { weight: Tensor }).weight).data()];
  const counts = JSON.stringify(state, (key, value: unknown) => (key === 'mu' || key === 'nu' ? undefined : value));
  captured.dispose();
  free();
  return { all, status, weight, counts };
}

forEachBackend([GPU_BACKEND], () => {
  describe('captureStep(fn)', () => {
    it.each(['adamw', 'composed'] as const)('gives the losses and parameters of the eager run, bit for bit, over 200 steps (%s)', async (optimizer) => {
      const eager = await losses('eager', optimizer, 200);
      const captured = await losses('captured', optimizer, 200);
      expect(captured.status).toMatchObject({ state: 'captured' });
      expect(eager.all[0]).toBeGreaterThan(0.01);
      expect(captured.all).toEqual(eager.all);
      expect(captured.weight).toEqual(eager.weight);
      expect(captured.counts).toEqual(eager.counts);
    });

    it('does not grow: tensors and bytes are the same after 50 and after 2,000 steps', async () => {
      const { step, batch, free } = problem('adamw');
      const captured = captureStep(step);
      const inputs = batch(0);
      const run = async (count: number): Promise<object> => {
        for (let i = 0; i < count; i++) {
          const { loss, norm } = captured(inputs, { seed: i });
          if (i % 50 === 49) await loss.data();
          dispose([loss, norm]);
        }
        const { numTensors, numDataBuffers } = memory();
        return { numTensors, numDataBuffers, bytes: (memory() as unknown as { numBytesAllocatedInGPU: number }).numBytesAllocatedInGPU };
      };
      const settled = await run(50);
      expect(await run(1950)).toEqual(settled);
      captured.dispose();
      dispose(inputs);
      free();
    });

    it('runs no JavaScript of the step once it is captured, and hands over at most 10 parts', async () => {
      let runs = 0;
      const captured = captureStep(({ x }: { x: Tensor }) => {
        runs += 1;
        let y = x;
        for (let i = 0; i < 700; i++) y = add(y, 1);
        return y;
      });
      const device = (backend() as unknown as { device: GPUDevice }).device;
      const x = tensor1d([0]);
      for (let i = 0; i < 6; i++) expect(await numberOf(tidy(() => captured({ x }, {})))).toBe(700);
      const before = runs;
      const submit = device.queue.submit.bind(device.queue);
      let submits = 0;
      device.queue.submit = (buffers) => (submits += 1, submit(buffers));
      const y = captured({ x }, {});
      expect(submits).toBeGreaterThan(0);
      expect(submits).toBeLessThanOrEqual(10);
      Object.assign(device.queue, { submit });
      expect(await numberOf(y)).toBe(700);
      expect(runs).toBe(before);
      captured.dispose();
      dispose([x, y]);
    });

    it('makes nothing for the device in a replay: no buffer, bind group, pipeline or shader', () => {
      const captured = captureStep(({ x }: { x: Tensor }) => {
        let y = x;
        for (let i = 0; i < 200; i++) y = add(y, 1);
        return sum(y);
      });
      const x = tensor1d([1, 2]);
      for (let i = 0; i < 70; i++) captured({ x }).dispose(); // up to where the step's JavaScript is run again to be checked
      expect(captured.status().state).toBe('captured');
      const { device } = backend() as unknown as { device: GPUDevice };
      const made = (['createBuffer', 'createBindGroup', 'createComputePipeline', 'createShaderModule'] as const).map((name) => vi.spyOn(device, name));
      const submit = vi.spyOn(device.queue, 'submit');
      for (let i = 0; i < 20; i++) captured({ x }).dispose();
      expect(made.map(({ mock }) => mock.calls.length)).toEqual([0, 0, 0, 0]);
      expect(submit.mock.calls.length).toBeGreaterThan(0);
      vi.restoreAllMocks();
      captured.dispose();
      x.dispose();
    });

    it('takes new shapes, parameters that were replaced outside, and inputs on either side', async () => {
      const weight = param(() => scalar(2)) as Variable;
      const captured = captureStep((x: Tensor) => mul(sum(x), weight));
      const expectProduct = async (values: number[], factor: number) => {
        const x = tensor1d(values);
        for (let i = 0; i < 4; i++) {
          const y = captured(x, {});
          expect(await numberOf(y)).toBe(values.reduce((total, value) => total + value, 0) * factor);
          y.dispose();
        }
        x.dispose();
      };
      await expectProduct([1, 2], 2);
      await expectProduct([1, 2, 3], 2);
      tidy(() => weight.assign(scalar(5)));
      await expectProduct([1, 2, 4], 5);
      await expectProduct([1, 4], 5);
      expect(captured.status().state).toBe('captured');
      captured.dispose();
      weight.dispose();
    });

    it('carries on a variable that the step assigns anew', async () => {
      const x = param(() => scalar(1)) as Variable;
      const one = scalar(1);
      const captured = captureStep((given: Tensor) => {
        x.assign(add(mul(x, 2), given) as never);
        return add(x, 0);
      });
      let expected = 1;
      for (let i = 0; i < 12; i++) {
        const y = captured(one, {});
        expected = 2 * expected + 1;
        expect(await numberOf(y)).toBe(expected);
        expect(await numberOf(x)).toBe(expected);
        y.dispose();
      }
      expect(captured.status().state).toBe('captured');
      captured.dispose();
      expect(await numberOf(x)).toBe(expected);
      dispose([x, one]);
    });

    it('repeats what perStep and everyStep announce, in order', async () => {
      let count = 0;
      const one = scalar(1);
      const captured = captureStep((x: Tensor) => {
        const state = perStep(() => 10 * count);
        everyStep(() => { count += 1; });
        return add(x, stepScalar(state));
      });
      for (let i = 0; i < 8; i++) {
        const y = captured(one, {});
        expect(await numberOf(y)).toBe(1 + 10 * i);
        y.dispose();
      }
      expect(count).toBe(8);
      expect(captured.status().state).toBe('captured');
      captured.dispose();
      one.dispose();
    });

    it('leaves what stands behind ifFinite alone where a value is not finite', async () => {
      const weight = param(() => scalar(1)) as Variable;
      const captured = captureStep((x: Tensor) => {
        const loss = sum(x);
        ifFinite([loss], () => weight.assign(add(weight, 1) as never));
        return loss;
      });
      const feed = async (value: number): Promise<number> => {
        const x = tensor1d([value]);
        dispose([captured(x, {}), x]);
        return numberOf(weight);
      };
      expect([await feed(1), await feed(1), await feed(NaN), await feed(1), await feed(1), await feed(Infinity), await feed(-Infinity), await feed(NaN), await feed(3)])
        .toEqual([2, 3, 3, 4, 5, 5, 5, 5, 6]);
      expect(captured.status().state).toBe('captured');
      captured.dispose();
      weight.dispose();
    });

    describe('says why it runs eagerly, and is right', () => {
      let i = 0;
      afterEach(() => { i = 0; });
      const cases: [string, (x: Tensor) => Tensor, RegExp, (run: number) => number][] = [
        ['a value read back', (x) => { void x.data().catch(() => {}); return add(x, 1); }, /a value \(float32 \[\]\) was read back to the CPU/, () => 2],
        ['a value computed and read back', (x) => { const y = add(x, 1); void y.data().catch(() => {}); return y; }, /a value \(float32 \[\], made by Add\) was read back to the CPU/, () => 2],
        ['a shape that changes within it', (x) => sum(add(zeros([1 + (++i % 5)]), x)), /changed from one run to the next|for other shapes or options/, (run) => 1 + ((run + 1) % 5)],
        ['values of the CPU that change', (x) => add(x, scalar(++i)), /values from the CPU \(float32 \[\], read by \w+\) changed/, (run) => 2 + run],
        ['a launch that is not always there', (x) => (++i % 2 === 0 ? add(x, 1) : mul(add(x, 1), 3)), /launched/, (run) => (run % 2 === 0 ? 6 : 2)],
      ];
      it.each(cases)('%s', async (_, fn, reason, expected) => {
        const x = scalar(1);
        const captured = captureStep(fn);
        for (let run = 0; run < 9; run++) {
          const y = captured(x, {});
          expect(await numberOf(y)).toBe(expected(run));
          y.dispose();
        }
        const status = captured.status();
        expect(status).toMatchObject({ state: 'eager', reason: expect.stringMatching(reason) as string });
        captured.dispose();
        x.dispose();
      });

      it('a number of the step that is used in JavaScript', async () => {
        const x = scalar(1);
        const captured = captureStep((y: Tensor, { factor }: { factor: number | StepNumber }) => mul(y, Number(factor)));
        for (const factor of [2, 3, 4, 5, 6, 7, 8]) {
          const y = captured(x, { factor });
          expect(await numberOf(y)).toBe(factor);
          y.dispose();
        }
        expect(captured.status()).toMatchObject({ state: 'eager', reason: expect.stringContaining('was used in JavaScript') as string });
        captured.dispose();
        x.dispose();
      });
    });

    it('frees everything when fn throws, and goes on afterwards', async () => {
      const x = scalar(1);
      let isBroken = true;
      const captured = captureStep((y: Tensor) => {
        const z = add(y, 1);
        if (isBroken) throw new Error('on purpose');
        return z;
      });
      expect(() => captured(x, {})).toThrow('on purpose');
      const before = memory().numTensors;
      expect(() => captured(x, {})).toThrow('on purpose');
      expect(memory().numTensors).toBe(before);
      isBroken = false;
      for (let run = 0; run < 5; run++) {
        const y = captured(x, {});
        expect(await numberOf(y)).toBe(2);
        y.dispose();
      }
      expect(captured.status().state).toBe('captured');
      captured.dispose();
      expect(memory().numTensors).toBe(before - 1);
      x.dispose();
    });
  });
});
