import * as tf from '@tensorflow/tfjs-core';
import { einsum, rematerialise, valueAndGrad } from '@evenkeel/core-tensor';
import { expectNoLeak } from '@evenkeel/testing';
import { describe, it } from 'vitest';
import { checkHessian, type Tensors } from './gradients/battery.ts';
import { normal } from './gradients/points.ts';

const [B, T, C, H, F] = [2, 3, 6, 2, 10];
const D = C / H;

const layerNorm = (x: tf.Tensor, weight: tf.Tensor, bias: tf.Tensor): tf.Tensor => {
  const { mean, variance } = tf.moments(x, -1, true);
  return tf.add(tf.mul(tf.mul(tf.sub(x, mean), tf.rsqrt(tf.add(variance, 1e-5))), weight), bias);
};

const linear = (x: tf.Tensor, weight: tf.Tensor): tf.Tensor =>
  tf.matMul(x, tf.expandDims(weight, 0), false, true); // a broadcast batch axis, as a user would write it

const geluTanh = (x: tf.Tensor): tf.Tensor =>
  tf.mul(tf.mul(x, 0.5), tf.add(tf.tanh(tf.mul(tf.add(x, tf.mul(tf.pow(x, 3), 0.044715)), Math.sqrt(2 / Math.PI))), 1));

const geluErf = (x: tf.Tensor): tf.Tensor => tf.mul(tf.mul(x, 0.5), tf.add(tf.erf(tf.mul(x, Math.SQRT1_2)), 1));

/** Causal attention by matrix products, a where and a softmax. */
function attention(x: tf.Tensor, qkv: tf.Tensor, out: tf.Tensor): tf.Tensor {
  const heads = tf.transpose(tf.reshape(linear(x, qkv), [B, T, 3, H, D]), [2, 0, 3, 1, 4]); // 3 b h t d
  const [q, k, v] = tf.unstack(heads) as [tf.Tensor, tf.Tensor, tf.Tensor];
  const scores = tf.mul(tf.matMul(q, k, false, true), 1 / Math.sqrt(D)); // b h t s
  const visible = tf.tidy(() => tf.cast(tf.linalg.bandPart(tf.ones([T, T]), -1, 0), 'bool'));
  const probabilities = tf.softmax(tf.where(visible, scores, -1e9));
  const mixed = tf.reshape(tf.transpose(tf.matMul(probabilities, v), [0, 2, 1, 3]), [B, T, C]);
  return linear(mixed, out);
}

/** The same by einsum and log-softmax. */
function einsumAttention(x: tf.Tensor, qkv: tf.Tensor, out: tf.Tensor): tf.Tensor {
  const [q, k, v] = tf.split(einsum('btc,oc->bto', x, qkv), 3, -1).map((each) => tf.reshape(each, [B, T, H, D])) as [tf.Tensor, tf.Tensor, tf.Tensor];
  const probabilities = tf.exp(tf.logSoftmax(tf.mul(einsum('bthd,bshd->bhts', q, k), 1 / Math.sqrt(D))));
  return einsum('bthd,ohd->bto', einsum('bhts,bshd->bthd', probabilities, v), tf.reshape(out, [C, H, D]));
}

const params = (): Tensors => ({
  x: tf.mul(normal([B, T, C], 1), 3), ln1: tf.add(tf.mul(normal([C], 2), 0.2), 1), ln1Bias: tf.mul(normal([C], 3), 0.2), qkv: tf.mul(normal([3 * C, C], 4), 0.5),
  out: tf.mul(normal([C, C], 5), 0.5), ln2: tf.add(tf.mul(normal([C], 6), 0.2), 1), ln2Bias: tf.mul(normal([C], 7), 0.2),
  up: tf.mul(normal([F, C], 8), 0.5), down: tf.mul(normal([C, F], 9), 0.5),
});

const block = (attend: typeof attention, gelu: typeof geluErf) => (p: Tensors): tf.Tensor => {
  const { x, ln1, ln1Bias, qkv, out, ln2, ln2Bias, up, down } = p as Record<string, tf.Tensor> & Record<'x' | 'ln1' | 'ln1Bias' | 'qkv' | 'out' | 'ln2' | 'ln2Bias' | 'up' | 'down', tf.Tensor>;
  const attended = tf.add(x, attend(layerNorm(x, ln1, ln1Bias), qkv, out));
  return tf.add(attended, linear(gelu(linear(layerNorm(attended, ln2, ln2Bias), up)), down));
};

/** Cross-entropy of the result read as logits, so that the loss itself curves too. */
const loss = (f: (p: Tensors) => tf.Tensor) => (p: Tensors): tf.Tensor => {
  const targets = tf.oneHot(tf.tensor([0, 5, 2, 2, 1, 4], [B * T], 'int32'), C);
  return tf.neg(tf.mean(tf.sum(tf.mul(tf.cast(targets, 'float32'), tf.logSoftmax(tf.reshape(f(p), [B * T, C]))), -1)));
};

describe('a transformer block', () => {
  it.each([
    ['softmax attention and tanh-GELU', block(attention, geluTanh)],
    ['einsum attention and erf-GELU', block(einsumAttention, geluErf)],
    ['rematerialisation', (p: Tensors): tf.Tensor => rematerialise((_: readonly tf.Tensor[], q: Tensors) => block(attention, geluTanh)(q))([], p)],
  ])('valueAndGrad of a block with %s has the Hessian-vector products of finite differences', async (_, f) => {
    await checkHessian(loss(f), params());
    const inputs = params();
    await expectNoLeak(() => valueAndGrad(loss(f), inputs));
  });
});
