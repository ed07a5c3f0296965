import * as tf from '@tensorflow/tfjs-core';
import { fusedOp, GPU_BACKEND, hasKernel, runKernel, valueAndGrad, type FusedGradient } from '@evenkeel/core-tensor';
import { expectClose, expectNoLeak } from '@evenkeel/testing';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { checkHessian } from './gradients/battery.ts';
import { normal } from './gradients/points.ts';

/**
 * A toy operation: y = gain·x²·weight + bias and, beside it, the row sums of x². Every path gives the same numbers, so the
 * paths count their calls.
 */
type ToyInputs = { x: tf.Tensor; weight?: tf.Tensor; bias?: tf.Tensor };
type ToyAttrs = { gain: number };

const calls: Record<string, number> = {};
const count = (name: string): void => { calls[name] = (calls[name] ?? 0) + 1; };

function reference({ x, weight, bias }: ToyInputs, { gain }: ToyAttrs): tf.Tensor[] {
  count('reference');
  const squares = tf.square(x);
  const scaled = tf.mul(weight === undefined ? squares : tf.mul(squares, weight), gain);
  return [bias === undefined ? scaled : tf.add(scaled, bias), tf.sum(squares, -1)];
}

const gradient: FusedGradient<ToyInputs, ToyAttrs> = {
  kernels: ['evenkeel-test/toyGrad'],
  saveOutputs: [1],
  run: ({ dys, inputs, outputs, attrs }) => {
    const [dy, dSums] = dys as [tf.Tensor, tf.Tensor];
    expect(outputs.map(({ shape }) => shape)).toEqual([inputs.x.shape.slice(0, -1)]);
    return {
      x: runKernel('evenkeel-test/toyGrad', { x: inputs.x, weight: inputs.weight, dy, dSums }, attrs),
      weight: () => {
        count('dWeight');
        return tf.sum(tf.mul(tf.mul(dy, tf.square(inputs.x)), attrs.gain), 0);
      },
      bias: () => tf.sum(dy, 0),
    };
  },
};

const toy = fusedOp<ToyInputs, ToyAttrs, tf.Tensor[]>({ name: 'evenkeel-test/toy', reference, gradient, differentiable: 'once' });
/** The same kernel without a fused gradient. */
const plain = fusedOp<ToyInputs, ToyAttrs, tf.Tensor[]>({ name: 'evenkeel-test/toy', reference, differentiable: 'once' });

/** Runs ordinary operations inside a kernel, as a stand-in for hand-written code. */
function register(kernelName: string, compute: (inputs: Record<string, tf.Tensor | undefined>, attrs: ToyAttrs) => tf.Tensor[]): void {
  tf.registerKernel({
    kernelName, backendName: 'cpu',
    kernelFunc: ({ inputs, attrs }) => {
      count(kernelName);
      const results = tf.tidy(() => compute(inputs as Record<string, tf.Tensor>, attrs as unknown as ToyAttrs));
      return results.length === 1 ? (results[0] as tf.Tensor) : results;
    },
  });
}

const registerForward = (): void => register('evenkeel-test/toy', ({ x, weight, bias }, { gain }) => {
  const squares = tf.square(x as tf.Tensor);
  const scaled = tf.mul(weight === undefined ? squares : tf.mul(squares, weight), gain);
  return [bias === undefined ? scaled : tf.add(scaled, bias), tf.sum(squares, -1)];
});

const registerBackward = (): void => register('evenkeel-test/toyGrad', ({ x, weight, dy, dSums }, { gain }) => {
  const scaled = tf.mul(tf.mul(dy as tf.Tensor, weight ?? tf.scalar(1)), gain);
  return [tf.mul(tf.mul(x as tf.Tensor, 2), tf.add(scaled, tf.expandDims(dSums as tf.Tensor, -1)))];
});

const point = (): { x: tf.Tensor; weight: tf.Tensor; bias: tf.Tensor } => ({ x: normal([3, 5], 1), weight: normal([5], 2), bias: normal([5], 3) });
const lossOf = (op: typeof toy) => (p: ToyInputs): tf.Tensor => {
  const [y, sums] = op(p, { gain: 0.7 }) as [tf.Tensor, tf.Tensor];
  return tf.add(tf.sum(tf.mul(y, normal([3, 5], 4))), tf.sum(tf.mul(sums, normal([3], 5))));
};

async function expectSameGradients(op: typeof toy, inputs: Record<string, tf.Tensor>): Promise<void> {
  const fused = valueAndGrad(lossOf(op) as (p: Record<string, tf.Tensor>) => tf.Tensor, inputs);
  const composed = valueAndGrad(lossOf(reference as unknown as typeof toy) as (p: Record<string, tf.Tensor>) => tf.Tensor, inputs);
  await expectClose(fused.value, composed.value, { rtol: 1e-5 });
  for (const name of Object.keys(inputs)) await expectClose(fused.grads[name] as tf.Tensor, composed.grads[name] as tf.Tensor, { atol: 1e-5 });
}

beforeEach(() => { for (const name of Object.keys(calls)) delete calls[name]; });
afterEach(() => {
  for (const name of ['evenkeel-test/toy', 'evenkeel-test/toyGrad']) if (hasKernel(name)) tf.unregisterKernel(name, 'cpu');
});

describe('fusedOp without a kernel', () => {
  it('fusedOp(spec) runs the reference and differentiates it', async () => {
    await expectSameGradients(toy, point());
    expect(calls).toEqual({ reference: 2 });
    const inputs = point();
    await expectNoLeak(() => toy(inputs, { gain: 2 }));
    await expectNoLeak(() => valueAndGrad(lossOf(toy), inputs));
  });
});

describe('fusedOp with a forward kernel only', () => {
  beforeEach(registerForward);

  it('fusedOp(spec) runs the kernel forward and the reference backward', async () => {
    await expectSameGradients(toy, point());
    expect(calls['evenkeel-test/toy']).toBe(1);
    expect(calls['dWeight']).toBeUndefined();
  });

  it('fusedOp(spec) without a gradient of its own differentiates the reference', async () => {
    registerBackward();
    await expectSameGradients(plain, point());
    expect(calls['evenkeel-test/toyGrad']).toBeUndefined();
  });
});

describe('fusedOp with kernels', () => {
  beforeEach(() => {
    registerForward();
    registerBackward();
  });

  it('fusedOp(spec) runs kernels forward and backward', async () => {
    valueAndGrad(lossOf(toy), point());
    expect(calls).toEqual({ 'evenkeel-test/toy': 1, 'evenkeel-test/toyGrad': 1, dWeight: 1 });
    await expectSameGradients(toy, point());
  });

  it('fusedOp(spec) returns several outputs as an array', async () => {
    const { x } = point();
    const [y, sums] = toy({ x }, { gain: 3 }) as [tf.Tensor, tf.Tensor];
    await expectClose(y, tf.mul(tf.square(x), 3));
    await expectClose(sums, tf.sum(tf.square(x), -1));
  });

  it('fusedOp(spec) takes optional inputs or leaves them out', async () => {
    const { x, weight, bias } = point();
    await expectSameGradients(toy, { x });
    await expectSameGradients(toy, { x, weight });
    await expectSameGradients(toy, { x, bias });
    await expectClose(toy({ x, weight: undefined }, { gain: 1 })[0] as tf.Tensor, tf.square(x));
  });

  it('fusedOp(spec) computes a lazy gradient only for an input that needs one', () => {
    const { x, weight } = point();
    valueAndGrad((p: { x: tf.Tensor }) => lossOf(toy)({ x: p.x, weight }), { x });
    expect(calls['dWeight']).toBeUndefined();
    valueAndGrad((p: { weight: tf.Tensor }) => lossOf(toy)({ x, weight: p.weight }), { weight });
    expect(calls['dWeight']).toBe(1);
  });

  it('fusedOp(spec) has right second derivatives, through the reference', async () => {
    await checkHessian((p) => tf.add(lossOf(toy)(p as ToyInputs), tf.sum(tf.square((toy(p as ToyInputs, { gain: 1 })[0] as tf.Tensor)))), point());
    expect(calls['evenkeel-test/toyGrad']).toBeGreaterThan(0); // the finite differences are of the fused gradient
    expect(calls['reference']).toBeGreaterThan(0);
  });

  it('fusedOp(spec) works under tf.grad, once and twice', async () => {
    const { x } = point();
    const loss = (at: tf.Tensor): tf.Tensor => tf.sum(tf.square(toy({ x: at }, { gain: 1 })[0] as tf.Tensor)); // Σ x⁴
    await expectClose(tf.grad(loss)(x), tf.mul(tf.pow(x, 3), 4), { rtol: 1e-4, atol: 1e-5 });
    await expectClose(tf.grad((at: tf.Tensor) => tf.sum(tf.grad(loss)(at)))(x), tf.mul(tf.square(x), 12), { rtol: 1e-4, atol: 1e-5 });
  });

  it('fusedOp(spec) leaks nothing, forward, backward, twice, or when a kernel throws', async () => {
    const inputs = point();
    await expectNoLeak(() => toy(inputs, { gain: 1 }));
    await expectNoLeak(() => valueAndGrad(lossOf(toy), inputs));
    await expectNoLeak(() => valueAndGrad((p: typeof inputs) => tf.sum(tf.square(valueAndGrad(lossOf(toy), p).grads.x as tf.Tensor)), inputs, { unused: 'zero' }));
    tf.unregisterKernel('evenkeel-test/toyGrad', 'cpu');
    register('evenkeel-test/toyGrad', () => { throw new Error('from the kernel'); });
    await expectNoLeak(() => valueAndGrad(lossOf(toy), inputs), { throws: 'from the kernel' });
  });
});

describe("fusedOp with differentiable: 'twice'", () => {
  it("fusedOp(spec) differentiates its own gradient's operations", async () => {
    register('evenkeel-test/toy', ({ x }) => [tf.mul(x as tf.Tensor, tf.square(x as tf.Tensor))]);
    const cube = fusedOp<{ x: tf.Tensor }, ToyAttrs>({
      name: 'evenkeel-test/toy',
      reference: ({ x }) => { count('reference'); return tf.pow(x, 3); },
      gradient: { kernels: [], run: ({ dy, inputs }) => ({ x: tf.mul(dy, tf.mul(tf.square(inputs.x), 3)) }) },
      differentiable: 'twice',
    });
    await checkHessian((p) => tf.sum(cube({ x: p['x'] as tf.Tensor }, { gain: 1 })), { x: normal([3, 4]) });
    expect(calls['reference']).toBeUndefined();
  });
});

it('fusedOp({ gpuKernels }) registers kernels for the WebGPU backend and no other, and leaves those that are there', () => {
  const spec = { name: 'evenkeel-test/onGpu', reference: ({ x }: { x: tf.Tensor }) => tf.square(x), differentiable: 'twice' } as const;
  const run = (): tf.TensorInfo => { throw new Error('not here'); };
  fusedOp({ ...spec, gpuKernels: [{ name: spec.name, run }, { name: 'evenkeel-test/onGpuGrad', run }] });
  const registered = tf.getKernel(spec.name, GPU_BACKEND);
  expect(registered?.kernelFunc).toBeTypeOf('function');
  expect(tf.getKernel('evenkeel-test/onGpuGrad', GPU_BACKEND)).toBeDefined();
  expect(tf.getKernel(spec.name, 'cpu')).toBeUndefined();
  fusedOp({ ...spec, gpuKernels: [{ name: spec.name, run }] });
  expect(tf.getKernel(spec.name, GPU_BACKEND)).toBe(registered);
  for (const name of [spec.name, 'evenkeel-test/onGpuGrad']) tf.unregisterKernel(name, GPU_BACKEND);
});
