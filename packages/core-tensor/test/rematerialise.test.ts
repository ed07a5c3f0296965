import * as tf from '@tensorflow/tfjs-core';
import { ConfigError, foldSeed, param, randomUniform, rematerialise, valueAndGrad } from '@evenkeel/core-tensor';
import { expectClose, expectNoLeak } from '@evenkeel/testing';
import { describe, expect, it } from 'vitest';
import { checkHessian, type Tensors } from './gradients/battery.ts';
import { normal } from './gradients/points.ts';

type LayerParams = { w: tf.Tensor; b: tf.Tensor };
const layer = (x: tf.Tensor, { w, b }: LayerParams): tf.Tensor => tf.tanh(tf.add(tf.matMul(x, w), b));
const params = (): LayerParams => ({ w: normal([4, 4], 2), b: normal([4], 3) });
const stack = (f: typeof layer) => (p: LayerParams): tf.Tensor => tf.sum(tf.square(f(f(normal([3, 4], 1), p), p)));

describe('rematerialise(fn)', () => {
  it('rematerialise(fn) has the values and gradients of fn', async () => {
    const at = params();
    const [plain, again] = [valueAndGrad(stack(layer), at), valueAndGrad(stack(rematerialise(layer)), at)];
    await expectClose(again.value, plain.value);
    await expectClose(again.grads.w, plain.grads.w);
    await expectClose(again.grads.b, plain.grads.b);
    await expectNoLeak(() => valueAndGrad(stack(rematerialise(layer)), at));
  });

  it('rematerialise(fn) runs fn once more in the backward pass', () => {
    let calls = 0;
    const counted = rematerialise((x: tf.Tensor, p: LayerParams) => { calls++; return layer(x, p); });
    valueAndGrad(stack(counted), params());
    expect(calls).toBe(4);
    counted(normal([3, 4]), params());
    expect(calls).toBe(5);
  });

  it('rematerialise(fn) keeps nothing of its inside between forward and backward', () => {
    const held = (f: typeof layer): number => {
      let during = 0;
      const at = params();
      const before = tf.memory().numBytes;
      valueAndGrad((p: LayerParams) => {
        const y = tf.tidy(() => f(normal([64, 4]), p));
        during = tf.memory().numBytes - before;
        return tf.sum(y);
      }, at);
      return during;
    };
    const deep = (x: tf.Tensor, p: LayerParams): tf.Tensor => layer(layer(layer(x, p), p), p);
    expect(held(rematerialise(deep))).toBeLessThan(held(deep) / 2);
  });

  it('rematerialise(fn) draws the same random numbers both times', async () => {
    const dropout = (x: tf.Tensor, p: LayerParams): tf.Tensor =>
      tf.mul(layer(x, p), tf.cast(tf.greater(randomUniform([3, 4], { seed: foldSeed(7, 'dropout') }), 0.5), 'float32'));
    const at = params();
    await expectClose(valueAndGrad(stack(rematerialise(dropout)), at).grads.w, valueAndGrad(stack(dropout), at).grads.w);
  });

  it('rematerialise(fn) can be nested', async () => {
    const at = params();
    const twice = rematerialise((x: tf.Tensor, p: LayerParams) => rematerialise(layer)(rematerialise(layer)(x, p), p));
    const once = (x: tf.Tensor, p: LayerParams): tf.Tensor => layer(layer(x, p), p);
    await expectClose(valueAndGrad(stack(twice), at).grads.w, valueAndGrad(stack(once), at).grads.w, { rtol: 1e-4 });
    await expectNoLeak(() => valueAndGrad(stack(twice), at));
  });

  it('rematerialise(fn) has right second derivatives', async () => {
    await checkHessian((p: Tensors) => stack(rematerialise(layer))(p as LayerParams), params());
    await checkHessian((p: Tensors) => stack(rematerialise((x: tf.Tensor, q: LayerParams) => rematerialise(layer)(x, q)))(p as LayerParams), params());
  });

  it('rematerialise(fn) may use valueAndGrad inside fn', async () => {
    const inner = (x: tf.Tensor, { w }: { w: tf.Tensor }): tf.Tensor =>
      valueAndGrad((q: { x: tf.Tensor }) => tf.sum(tf.mul(w, tf.exp(q.x))), { x }).grads.x; // w·eˣ
    const [x, w] = [normal([4], 1), normal([4], 2)];
    const { value, grads } = valueAndGrad((p: { x: tf.Tensor; w: tf.Tensor }) => tf.sum(rematerialise(inner)(p.x, { w: p.w })), { x, w });
    await expectClose(value, tf.sum(tf.mul(w, tf.exp(x))));
    await expectClose(grads.x, tf.mul(w, tf.exp(x)));
    await expectClose(grads.w, tf.exp(x));
    await expectNoLeak(() => valueAndGrad((p: { x: tf.Tensor; w: tf.Tensor }) => tf.sum(rematerialise(inner)(p.x, { w: p.w })), { x, w }));
  });

  it('rematerialise(fn) takes trees of tensors, integers among them', async () => {
    const ids = tf.tensor([2, 0], [2], 'int32');
    const pick = rematerialise((x: { table: tf.Tensor; ids: tf.Tensor }, p: readonly tf.Tensor[]) => tf.mul(tf.gather(x.table, x.ids), p[0] as tf.Tensor));
    const { grads } = valueAndGrad((p: { table: tf.Tensor; scale: tf.Tensor }) => tf.sum(pick({ table: p.table, ids }, [p.scale])),
      { table: tf.tensor([[1, 2], [3, 4], [5, 6]]), scale: tf.scalar(10) });
    await expectClose(grads.table, [[10, 10], [0, 0], [10, 10]]);
    await expectClose(grads.scale, 14);
  });

  it('rematerialise(fn) of the identity returns a tensor of its own', async () => {
    const x = normal([3]);
    const y = rematerialise((a: tf.Tensor, _: readonly tf.Tensor[]) => a)(x, []);
    tf.dispose(y);
    expect(x.isDisposed).toBe(false);
  });

  it('rematerialise(fn) refuses a variable that fn takes from outside', async () => {
    const w = param(() => normal([4, 4]));
    const x = normal([3, 4]);
    const outside = rematerialise((at: tf.Tensor, _: readonly tf.Tensor[]) => tf.matMul(at, w));
    const run = (): unknown => valueAndGrad((p: { x: tf.Tensor }) => tf.sum(outside(p.x, [])), { x });
    expect(run).toThrow(ConfigError);
    await expectNoLeak(run, { throws: 'rematerialise: fn must take every tensor that needs a gradient through its arguments, got one of shape [4, 4] from outside' });
  });

  it('rematerialise(fn) refuses a parameter that fn takes from outside, also one that is passed as well', async () => {
    const at = { t: normal([2], 1), b: normal([2], 2) };
    const message = 'rematerialise: fn must take every tensor that needs a gradient through its arguments, got one of shape [2] from outside';
    const captured = (p: typeof at): tf.Tensor => tf.add(tf.sum(p.t), tf.sum(rematerialise((x: tf.Tensor, _: readonly tf.Tensor[]) => tf.mul(x, p.t))(p.b, [])));
    expect(() => valueAndGrad(captured, at)).toThrow(ConfigError);
    await expectNoLeak(() => valueAndGrad(captured, at), { throws: message });
    const both = (p: typeof at): tf.Tensor => tf.add(tf.sum(p.b), tf.sum(rematerialise((x: tf.Tensor, _: readonly tf.Tensor[]) => tf.mul(x, p.t))(p.t, [])));
    expect(() => valueAndGrad(both, at)).toThrow(message);
    const ofGradient = (p: typeof at): tf.Tensor => tf.sum(valueAndGrad((q: { b: tf.Tensor }) => tf.sum(tf.square(captured({ t: p.t, b: q.b }))), { b: p.b }).grads.b);
    await expectNoLeak(() => valueAndGrad(ofGradient, at), { throws: message });
  });

  it('rematerialise(fn) refuses an activation that fn takes from outside, whether or not it is still there', async () => {
    const at = { t: normal([2], 1), b: normal([2], 2) };
    const run = (activation: (t: tf.Tensor) => tf.Tensor) => (): unknown => valueAndGrad((p: typeof at) => {
      const h = activation(p.t);
      return tf.sum(rematerialise((x: tf.Tensor, _: readonly tf.Tensor[]) => tf.mul(x, h))(p.b, []));
    }, at, { unused: 'zero' });
    await expectNoLeak(run((t) => tf.add(t, 1)), { throws: 'rematerialise: fn must take every tensor through its arguments, got one from outside that has been freed since' });
    // exp keeps its result for its own gradient, so the data is still there in the backward pass.
    const kept = (p: typeof at): tf.Tensor => {
      const h = tf.exp(p.t);
      return tf.add(tf.sum(h), tf.sum(rematerialise((x: tf.Tensor, _: readonly tf.Tensor[]) => tf.mul(x, h))(p.b, [])));
    };
    await expectNoLeak(() => valueAndGrad(kept, at), { throws: 'through its arguments, got one of shape [2] from outside' });
  });

  it('rematerialise(fn) may take constants from outside', async () => {
    const [mask, at] = [tf.tensor([0, 2]), { b: normal([2], 2) }];
    const { grads } = valueAndGrad((p: typeof at) => tf.sum(rematerialise((x: tf.Tensor, _: readonly tf.Tensor[]) => tf.mul(x, mask))(p.b, [])), at);
    await expectClose(grads.b, [0, 2]);
  });

  it('rematerialise(fn) leaves nothing behind when fn throws in either pass', async () => {
    let calls = 0;
    const failing = (at: number) => rematerialise((x: tf.Tensor, p: LayerParams) => {
      if (++calls === at) throw new Error('from fn');
      return layer(x, p);
    });
    const [x, at] = [normal([3, 4]), params()];
    for (const call of [1, 2]) {
      calls = 0;
      await expectNoLeak(() => valueAndGrad((p: LayerParams) => tf.sum(failing(call)(x, p)), at), { throws: 'from fn' });
    }
    await expectClose(valueAndGrad((p: LayerParams) => tf.sum(p.b), at, { unused: 'zero' }).grads.b, [1, 1, 1, 1]);
  });
});
