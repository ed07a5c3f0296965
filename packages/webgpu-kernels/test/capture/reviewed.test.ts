import { captureStep, ConfigError, foldSeed, GPU_BACKEND, param, stepScalar, valueAndGrad, type StepNumber } from '@evenkeel/core-tensor';
import { flashAttention, flashAttentionVarlen } from '@evenkeel/flash-attention';
import { adamw, applyUpdates } from '@evenkeel/optimizers';
import { forEachBackend, randomTensor } from '@evenkeel/testing';
import { add, clone, dispose, mul, reshape, scalar, sub, sum, tensor, tensor1d, tidy, variable, zeros, type Tensor, type Variable } from '@tensorflow/tfjs-core';
import { expect, it } from 'vitest';

const valuesOf = async (x: Tensor): Promise<number[]> => [...await x.data()];
const numberOf = async (x: Tensor): Promise<number> => (await valuesOf(x))[0] as number;
const stepper = (w: Variable) => captureStep((x: Tensor) => {
  w.assign(add(mul(w, 2), x) as never);
  return sum(w);
});

forEachBackend([GPU_BACKEND], () => {
  it.each(['attention', 'varlen'])('a captured step draws the dropout of %s anew in each call, as an eager one does', async (kind) => {
    const q = randomTensor([1, 8, 2, 4], { seed: 1 });
    const flat = reshape(q, [8, 2, 4]);
    const fn = (x: Tensor, { seed }: { seed: number | StepNumber }) => valueAndGrad(({ a }) => sum(mul(kind === 'attention'
      ? flashAttention(a, a, a, { dropout: 0.3, train: true, seed: foldSeed(seed, 'drop') })
      : flashAttentionVarlen(a, a, a, [0, 5, 8], [0, 5, 8], { dropout: 0.3, train: true, seed: foldSeed(seed, 'drop') }), a)), { a: x });
    const step = captureStep((x: Tensor, numbers: { seed: number | StepNumber }) => {
      const { value, grads } = fn(x, numbers);
      return { value, grad: grads.a };
    });
    const input = kind === 'attention' ? q : flat;
    const seen = new Set<number>();
    for (let i = 0; i < 8; i++) {
      const { value, grad } = step(input, { seed: i });
      const expected = tidy(() => fn(input, { seed: i }));
      expect(await numberOf(value)).toBe(await numberOf(expected.value));
      expect(await valuesOf(grad)).toEqual(await valuesOf(expected.grads.a));
      seen.add(await numberOf(value));
      dispose([value, grad, expected.value, expected.grads]);
    }
    expect(seen.size).toBe(8);
    expect(step.status().state).toBe('captured');
    step.dispose();
    dispose([q, flat]);
  });

  it.each([['adamw', clone], ['adamw', (x: Tensor) => reshape(x, [1, 2])], ['assign', clone]] as const)('a captured step (%s) leaves alone what shares the values of a variable', async (kind, share) => {
    const w = param(() => tensor1d([1, -2]));
    const optimizer = adamw({ learningRate: 0.1 });
    const state = optimizer.init({ w });
    const step = kind === 'assign' ? stepper(w) : captureStep((x: Tensor) => {
      const { value, grads } = valueAndGrad((p) => sum(mul(mul(p.w as Tensor, p.w as Tensor), x)), { w });
      applyUpdates({ w }, optimizer.update(grads as never, state, { w }));
      return value;
    });
    const x = scalar(1);
    for (let i = 0; i < 5; i++) step(x).dispose();
    expect(step.status().state).toBe('captured');
    const kept = share(w) as Tensor;
    const before = await valuesOf(kept);
    for (let i = 0; i < 7; i++) step(x).dispose();
    expect(await valuesOf(kept)).toEqual(before);
    expect(await valuesOf(w)).not.toEqual(before);
    expect(step.status().state).toBe('captured');
    step.dispose();
    dispose([w, x, kept, state] as never);
  });

  it('a captured step within another is part of it', async () => {
    const inner = captureStep((x: Tensor) => mul(x, 2));
    const outer = captureStep((x: Tensor) => add(inner(add(x, 1)), mul(x, 100)));
    for (let i = 0; i < 6; i++) {
      const x = scalar(i);
      expect(await numberOf(tidy(() => outer(x)))).toBe(2 * (i + 1) + 100 * i);
      x.dispose();
    }
    expect(outer.status().state).toBe('captured');
    inner.dispose();
    outer.dispose();
  });

  it('inputs are told apart by their names, results by the inputs they belong to', async () => {
    const step = captureStep((inputs: { a?: Tensor; b?: Tensor; c?: Tensor }) => (inputs.c === undefined
      ? { difference: sub(inputs.a as Tensor, inputs.b as Tensor) } : { negative: mul(inputs.c, -1) }) as Record<string, Tensor>);
    const [five, one] = [scalar(5), scalar(1)];
    for (let i = 0; i < 5; i++) {
      for (const [inputs, name, expected] of [[{ a: five, b: one }, 'difference', 4], [{ b: one, a: five }, 'difference', 4], [{ b: five, a: one }, 'difference', -4], [{ c: five }, 'negative', -5]] as const) {
        const result = step(inputs as never);
        expect(await numberOf(result[name] as Tensor)).toBe(expected);
        dispose(result);
      }
    }
    step.dispose();
    dispose([five, one]);
  });

  it('a value of JavaScript that changes after the step was settled is found, and said', () => {
    const x = scalar(2);
    let factor = 3;
    const step = captureStep((y: Tensor) => mul(y, factor));
    const run = (): void => step(x).dispose();
    for (let i = 0; i < 5; i++) run();
    factor = 4;
    expect(() => { for (let i = 0; i < 64; i++) run(); }).toThrow(/captureStep: fn must do the same in every call, but values from the CPU .* changed/);
    expect(() => { for (let i = 0; i < 64; i++) run(); }).not.toThrow();
    step.dispose();
    x.dispose();
  });

  it('a variable that shares its first values with another tensor is captured all the same', async () => {
    const source = zeros([3]);
    const w = variable(source, false);
    const step = stepper(w as Variable);
    const x = tensor1d([1, 2, 3]);
    for (let i = 1; i <= 7; i++) {
      const total = step(x);
      expect(await numberOf(total)).toBe(6 * (2 ** i - 1));
      total.dispose();
    }
    expect(step.status().state).toBe('captured');
    const loaded = tensor1d([5, 5, 5]);
    w.assign(loaded as never);
    for (let i = 0; i < 5; i++) step(x).dispose();
    expect(step.status().state).toBe('captured');
    expect(await valuesOf(w)).toEqual([5 * 32 + 31, 5 * 32 + 62, 5 * 32 + 93]);
    expect(await valuesOf(loaded)).toEqual([5, 5, 5]);
    expect(await valuesOf(source)).toEqual([0, 0, 0]);
    step.dispose();
    dispose([w, x, source, loaded]);
  });

  it('wrong calls are refused by name', () => {
    const x = tensor([1]);
    const step = captureStep((y: Tensor, { k }: { k: number | StepNumber }) => mul(y, stepScalar(k)));
    expect(() => step([1] as never, { k: 1 })).toThrow('captureStep: inputs.0 must be a tensor, got number');
    step(x, { k: 1 }).dispose();
    expect(() => step(x)).toThrow('captureStep: numbers must be k in every call, got none');
    expect(() => step(x, { K: 1 } as never)).toThrow(ConfigError);
    expect(() => step(x, { k: '2' } as never)).toThrow('captureStep: numbers.k must be a number, got string');
    expect(() => captureStep((async (y: Tensor) => y) as never)(x)).toThrow('captureStep: fn must return tensors, got a promise');
    expect(() => captureStep(undefined as never)).toThrow(ConfigError);
    x.dispose();
    expect(() => step(x, { k: 1 })).toThrow('captureStep: inputs must be alive, got a tensor that is disposed');
    step.dispose();
  });
});
