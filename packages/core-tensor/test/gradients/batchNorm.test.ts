import * as tf from '@tensorflow/tfjs-core';
import { grads as tfjsGrads } from '@tensorflow/tfjs-core';
import { valueAndGrad } from '@evenkeel/core-tensor';
import { expectClose } from '@evenkeel/testing';
import { describe, it } from 'vitest';
import { checkHessian, gradientTests, type Tensors } from './battery.ts';
import { normal, positive } from './points.ts';

const point = (): Tensors => ({ x: normal([2, 3, 2, 4], 1), mean: normal([4], 2), variance: positive([4], 3), scale: normal([4], 4), offset: normal([4], 5) });
const batchNorm = ({ x, mean, variance, scale, offset }: Tensors): tf.Tensor =>
  tf.batchNorm(x as tf.Tensor4D, mean as tf.Tensor1D, variance as tf.Tensor1D, offset as tf.Tensor1D, scale as tf.Tensor1D, 1e-3);

/** The same by elementary operations. */
const composed = ({ x, mean, variance, scale, offset }: Tensors): tf.Tensor => {
  const normalised = tf.mul(tf.sub(x as tf.Tensor, mean as tf.Tensor), tf.rsqrt(tf.add(variance as tf.Tensor, 1e-3)));
  const scaled = scale === undefined ? normalised : tf.mul(normalised, scale);
  return offset === undefined ? scaled : tf.add(scaled, offset);
};

gradientTests([{ name: 'batchNorm(x, mean, variance, offset, scale)', op: batchNorm, inputs: point, curved: true }]);

describe.each([['scale'], ['offset'], ['offset', 'scale']])('batchNorm(x) without %s %s', (...absent) => {
  const inputs = (): Tensors => Object.fromEntries(Object.entries(point()).filter(([name]) => !absent.includes(name)));
  const loss = (f: (p: Tensors) => tf.Tensor) => (p: Tensors): tf.Tensor => tf.sum(tf.mul(f(p), normal([2, 3, 2, 4], 9)));

  it('batchNorm(x) without them has the gradient of elementary operations', async () => {
    const at = inputs();
    const ours = valueAndGrad(loss(batchNorm), at).grads;
    const expected = tfjsGrads((...xs: tf.Tensor[]) => loss(composed)(Object.fromEntries(Object.keys(at).map((name, i) => [name, xs[i] as tf.Tensor]))))(Object.values(at));
    for (const [i, name] of Object.keys(at).entries()) await expectClose(ours[name] as tf.Tensor, expected[i] as tf.Tensor, { rtol: 1e-4, atol: 1e-5 });
  });

  it('batchNorm(x) without them has the Hessian-vector products of finite differences', () =>
    checkHessian(loss(batchNorm), inputs(), Object.keys(inputs())));
});
