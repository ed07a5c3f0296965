import { captureStep, ConfigError, GPU_BACKEND, stepScalar, type StepNumber } from '@evenkeel/core-tensor';
import { forEachBackend } from '@evenkeel/testing';
import { add, complex, dispose, memory, mul, scalar, square, sub, sum, tensor, tensor1d, tidy, variable, type Tensor, type Variable } from '@tensorflow/tfjs-core';
import { describe, expect, it } from 'vitest';

const numberOf = async (x: Tensor): Promise<number> => (await x.data())[0] as number;

forEachBackend(['cpu', GPU_BACKEND], () => {
  describe.each(['replayed', 'refused'])('inputs and results of a step mean the same on every device, also where it is %s', (kind) => {
    /** With 'refused' the step reads its number in JavaScript. */
    const meddle = (k: number | StepNumber): void => void (kind === 'refused' && expect(Number(k)).toBe(0));

    it('results are the caller\'s and never change, also those that are variables', async () => {
      const w = variable(scalar(1)) as Variable;
      const step = captureStep(({ x }: { x: Tensor }, { k }: { k: number | StepNumber }) => {
        w.assign(add(w, x) as never);
        meddle(k);
        return w as Tensor;
      });
      const x = scalar(1);
      const results = Array.from({ length: 7 }, () => step({ x }, { k: 0 }));
      expect(await Promise.all(results.map(numberOf))).toEqual([2, 3, 4, 5, 6, 7, 8]);
      dispose(results);
      expect(w.isDisposed).toBe(false);
      expect(await numberOf(w)).toBe(8);
      step.dispose();
      dispose([w, x]);
    });

    it("inputs stay the caller's: variables that are assigned within, one that is returned, one that is disposed within", async () => {
      const w = variable(scalar(1)) as Variable;
      const step = captureStep(({ a, b }: { a: Tensor; b: Tensor }, { k }: { k: number | StepNumber }) => {
        meddle(k);
        w.assign(mul(a, 2) as never);
        const y = mul(add(b, 0), 10);
        b.dispose();
        return { y, a };
      });
      for (let i = 0; i < 7; i++) {
        const { y, a } = step({ a: w, b: w }, { k: 0 });
        expect([await numberOf(y), await numberOf(a), await numberOf(w)]).toEqual([10 * 2 ** i, 2 ** i, 2 ** (i + 1)]);
        dispose([y, a]);
      }
      expect(w.isDisposed).toBe(false);
      step.dispose();
      w.dispose();
    });
  });

  it('inputs must be numbers of 32 bits or Booleans', () => {
    const step = captureStep(({ x }: { x: Tensor }) => x);
    for (const x of [complex([1], [2]), tensor(['a'])]) {
      expect(() => step({ x })).toThrow(new ConfigError(`captureStep: inputs.x must be float32, int32 or bool, got ${x.dtype}`));
      x.dispose();
    }
  });
});

forEachBackend([GPU_BACKEND], () => {
  describe('a step that changes after it was settled is found', () => {
    let flip = false;
    const changes: [string, (x: Tensor, numbers: Record<'a' | 'b', number | StepNumber>) => Tensor, RegExp][] = [
      ['by what a launch is given', (x) => {
        const [u, v] = [square(add(x, 1)), square(mul(x, 2))];
        return flip ? sub(u, v) : sub(v, u);
      }, /Sub was given one tensor in one run and another in the next/],
      ['by which of two numbers it uses', (x, { a, b }) => mul(x, stepScalar(flip ? a : b)), /stepScalar was told one number of the step in one run and another in the next/],
      ['by what it returns', (x) => {
        const [u, v] = [add(x, 1), mul(x, 2)];
        return flip ? u : v;
      }, /one tensor was returned in one run and another in the next/],
    ];

    it.each(changes)('%s', async (_, fn, message) => {
      const x = tensor1d([3, 1]);
      const numbers = { a: 10, b: 20 };
      const step = captureStep(({ x: given }: { x: Tensor }, each: Record<'a' | 'b', number | StepNumber>) => fn(given, each));
      const call = (): void => tidy(() => void step({ x }, numbers));
      flip = false;
      for (let i = 0; i < 8; i++) call();
      expect(step.status().state).toBe('captured');
      flip = true;
      expect(() => { for (let i = 0; i < 70; i++) call(); }).toThrow(message);
      step.dispose();
      const taking = captureStep(({ x: given }: { x: Tensor }, each: Record<'a' | 'b', number | StepNumber>) => fn(given, each));
      for (let i = 0; i < 12; i++) {
        flip = i % 2 === 1;
        const [y, expected] = [taking({ x }, numbers), tidy(() => fn(x, numbers))];
        expect(await numberOf(y)).toBe(await numberOf(expected));
        dispose([y, expected]);
      }
      expect(taking.status()).toMatchObject({ state: 'eager', reason: expect.stringMatching(message) as string });
      taking.dispose();
      x.dispose();
    });
  });

  it('a number of the step where tfjs wants a tensor: the error says how to make it one', () => {
    const x = scalar(1);
    const step = captureStep((given: Tensor, { lr }: { lr: number | StepNumber }) => mul(given, lr as number));
    expect(() => step(x, { lr: 2 })).toThrow("but got 'StepNumber'. A number of the step becomes a tensor by stepScalar(number).");
    step.dispose();
    x.dispose();
  });

  it('more shapes in turn than are kept hold no more memory than a few of them', () => {
    const w = variable(tensor([...Array(64 * 64).keys()], [64, 64], 'float32')) as Variable;
    const step = captureStep(({ x }: { x: Tensor }) => sum(square(square(square(mul(x, w))))));
    const run = (shapes: number): number => {
      for (let i = 0; i < 60; i++) tidy(() => void step({ x: tensor(new Float32Array((1 + (i % shapes)) * 4096).fill(1), [1 + (i % shapes), 64, 64]) }));
      return (memory() as unknown as { numBytesAllocatedInGPU: number }).numBytesAllocatedInGPU;
    };
    const few = run(4);
    expect(run(12)).toBeLessThan(8 * few);
    step.dispose();
    w.dispose();
  });
});
