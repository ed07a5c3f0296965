import * as tf from '@tensorflow/tfjs-core';
import { ConfigError, param, ShapeError, UnsupportedError, valueAndGrad, vjp } from '@evenkeel/core-tensor';
import { expectClose, expectNoLeak } from '@evenkeel/testing';
import { describe, expect, it, vi } from 'vitest';
import { normal } from './gradients/points.ts';

const grad = (f: (x: tf.Tensor) => tf.Tensor) => (x: tf.Tensor): tf.Tensor => valueAndGrad((p: { x: tf.Tensor }) => f(p.x), { x }).grads.x;

describe('valueAndGrad(fn, params)', () => {
  it('valueAndGrad(fn, params) returns the loss and a tree of gradients like params', async () => {
    const params = { blocks: [{ w: param(() => tf.tensor([1, 2])) }, { w: param(() => tf.tensor([3, 4])) }], b: param(() => tf.scalar(5)) };
    const { value, grads } = valueAndGrad((p) => tf.add(tf.sum(tf.mul(p.blocks[0]!.w, p.blocks[1]!.w)), tf.square(p.b)), params);
    await expectClose(value, 1 * 3 + 2 * 4 + 25);
    await expectClose(grads.blocks[0]!.w, [3, 4]);
    await expectClose(grads.blocks[1]!.w, [1, 2]);
    await expectClose(grads.b, 10);
  });

  it('valueAndGrad(fn, params) of a single tensor returns a single gradient', async () => {
    await expectClose(valueAndGrad((x: tf.Tensor) => tf.sum(tf.square(x)), tf.tensor([3])).grads, [6]);
  });

  it('valueAndGrad(fn, params) adds the value and the gradients, and frees the rest', async () => {
    const params = { w: normal([5, 3], 1), b: normal([3], 2) };
    const x = normal([4, 5], 3);
    await expectNoLeak(() => valueAndGrad((p) => tf.mean(tf.softmax(tf.add(tf.matMul(x, p.w), p.b))), params));
  });

  it('valueAndGrad(p => p.x, { x }) returns a value that is not the parameter', async () => {
    const x = tf.scalar(3);
    const { value, grads } = valueAndGrad((p: { x: tf.Tensor }) => p.x, { x });
    tf.dispose(value);
    expect(x.isDisposed).toBe(false);
    await expectClose(grads.x, 1);
    await expectNoLeak(() => valueAndGrad((p: { x: tf.Tensor }) => p.x, { x }));
  });

  it('valueAndGrad(fn, params) of a loss captured from outside leaves that tensor alive', () => {
    const constant = tf.scalar(2);
    const { value } = valueAndGrad(() => constant, { x: tf.scalar(1) }, { unused: 'zero' });
    tf.dispose(value);
    expect(constant.isDisposed).toBe(false);
  });

  it('valueAndGrad(fn, params) adds up what reaches a parameter on several ways', async () => {
    const w = tf.tensor([2, 3]);
    const { grads } = valueAndGrad((p: { w: tf.Tensor }) => tf.sum(tf.add(tf.mul(p.w, p.w), tf.exp(tf.neg(p.w)))), { w });
    await expectClose(grads.w, [4 - Math.exp(-2), 6 - Math.exp(-3)]);
  });

  it('valueAndGrad(fn, { a: w, b: w }) gives both places the whole gradient, each its own tensor', async () => {
    const w = param(() => tf.tensor([2, 3]));
    const run = (): { grads: { a: tf.Tensor; b: tf.Tensor } } => valueAndGrad((p: { a: tf.Tensor; b: tf.Tensor }) => tf.sum(tf.mul(p.a, p.b)), { a: w, b: w });
    const { grads } = run();
    tf.dispose(grads.a);
    await expectClose(grads.b, [4, 6]);
    await expectNoLeak(run);
  });

  it('valueAndGrad(fn, params) differentiates kernels of which one output is used', async () => {
    const x = tf.tensor([[1, 2, 3], [4, 5, 6]]);
    await expectClose(grad((at) => tf.sum(tf.square(tf.split(at, 3, 1)[1] as tf.Tensor)))(x), [[0, 4, 0], [0, 10, 0]]);
    await expectClose(grad((at) => tf.sum(tf.square(tf.unstack(at)[1] as tf.Tensor)))(x), [[0, 0, 0], [8, 10, 12]]);
    await expectClose(grad((at) => tf.sum(tf.mul(tf.topk(at, 1).values, 2)))(x), [[0, 0, 2], [0, 0, 2]]);
  });

  it('valueAndGrad(fn, params) stops at integers without asking for their gradient', async () => {
    const x = tf.tensor([0.5, 2, -1]);
    const chosen = (at: tf.Tensor): tf.Tensor => tf.gather(at, tf.argMax(at));
    await expectClose(grad((at) => tf.mul(chosen(at), 3))(x), [0, 3, 0]);
  });

  it('valueAndGrad(fn, params) works on variables and on intermediate results alike', async () => {
    const base = param(() => tf.tensor([1, 2]));
    await expectClose(valueAndGrad((p: { w: tf.Tensor }) => tf.sum(tf.square(p.w)), { w: tf.mul(base, 2) }).grads.w, [4, 8]);
  });
});

describe('nested valueAndGrad', () => {
  it('valueAndGrad inside valueAndGrad differentiates through an inner training step', async () => {
    // w' = w − ½·∂(w³)/∂w = w − 1.5 w²;  d(w'²)/dw = 2 w' (1 − 3 w)
    const outer = (p: { w: tf.Tensor }): tf.Tensor => {
      const inner = valueAndGrad((q: { w: tf.Tensor }) => tf.sum(tf.pow(q.w, 3)), { w: p.w });
      return tf.sum(tf.square(tf.sub(p.w, tf.mul(inner.grads.w, 0.5))));
    };
    const expected = [0.3, -0.7].map((w) => 2 * (w - 1.5 * w * w) * (1 - 3 * w));
    await expectClose(valueAndGrad(outer, { w: tf.tensor([0.3, -0.7]) }).grads.w, expected);
    await expectNoLeak(() => tf.tidy(() => tf.keep(valueAndGrad(outer, { w: tf.tensor([0.3, -0.7]) }).grads.w)));
  });

  it('valueAndGrad of inner parameters that are intermediates treats each as a variable of its own', async () => {
    // With u = 2w made outside, ∂(w·u)/∂w at fixed u is u = 2w; the outer derivative of Σ u is 2.
    const outer = (p: { w: tf.Tensor }): tf.Tensor => {
      const u = tf.mul(p.w, 2);
      const { grads } = valueAndGrad((q: { w: tf.Tensor; u: tf.Tensor }) => tf.sum(tf.mul(q.w, q.u)), { w: p.w, u });
      return tf.sum(grads.w);
    };
    const { value, grads } = valueAndGrad(outer, { w: tf.tensor([3, 5]) });
    await expectClose(value, 16);
    await expectClose(grads.w, [2, 2]);
  });

  it('valueAndGrad nested three times gives third derivatives', async () => {
    const x = tf.tensor([0.5, -1, 2]);
    const third = grad((a) => tf.sum(grad((b) => tf.sum(grad((c) => tf.sum(tf.mul(tf.exp(c), tf.square(c))))(b)))(a)))(x);
    await expectClose(third, [0.5, -1, 2].map((v) => Math.exp(v) * (v * v + 6 * v + 6)), { rtol: 1e-4 });
  });

  it('valueAndGrad inside tf.grad and tf.grad inside valueAndGrad agree', async () => {
    const x = tf.tensor([0.5, -1]);
    const cube = (at: tf.Tensor): tf.Tensor => tf.sum(tf.mul(at, tf.square(at)));
    await expectClose(tf.grad((at: tf.Tensor) => tf.sum(grad(cube)(at)))(x), [3, -6]);
    await expectClose(grad((at) => tf.sum(tf.grad(cube)(at)))(x), [3, -6]);
  });

  it('valueAndGrad refuses second derivatives through a value that an operation kept from its inside', async () => {
    tf.env().set('IS_TEST', false); // otherwise tfjs' own check stops its own operation for keeping that value
    const labels = tf.tensor([[0, 1, 0]]);
    const loss = (at: tf.Tensor): tf.Tensor => tf.losses.softmaxCrossEntropy(labels, at);
    const x = normal([1, 3]);
    await expectClose(grad(loss)(x), tf.sub(tf.softmax(x), labels), { atol: 1e-5 });
    const second = (): tf.Tensor => grad((at) => tf.sum(tf.square(grad(loss)(at))))(x);
    expect(second).toThrow(UnsupportedError);
    await expectNoLeak(second, { throws: 'softmaxCrossEntropy must keep only inputs and outputs to be differentiated twice' });
    tf.env().set('IS_TEST', true);
  });
});

describe('valueAndGrad memory', () => {
  it('valueAndGrad leaves a constant that a gradient returned alive', async () => {
    const slope = tf.tensor([5, 7]);
    const op = tf.customGrad((x, save) => {
      (save as tf.GradSaveFunc)([x as tf.Tensor]);
      return { value: tf.mul(x as tf.Tensor, slope), gradFunc: () => slope };
    });
    await expectClose(grad((x) => tf.sum(op(tf.mul(x, 1))))(tf.tensor([1, 2])), [5, 7]);
    expect(slope.isDisposed).toBe(false);
  });

  it('valueAndGrad keeps a saved tensor that a gradient returned', async () => {
    const op = tf.customGrad((x, save) => {
      (save as tf.GradSaveFunc)([x as tf.Tensor]);
      return { value: tf.mul(tf.square(x as tf.Tensor), 0.5), gradFunc: (_, saved) => (saved as tf.Tensor[])[0] as tf.Tensor };
    });
    const run = (): tf.Tensor => grad((x) => tf.sum(op(tf.mul(x, 1))))(tf.ones([2]));
    await expectClose(run(), [1, 1]);
  });

  it('valueAndGrad leaves nothing behind when fn throws, and works again', async () => {
    const x = tf.tensor([1, 2]);
    await expectNoLeak(() => valueAndGrad((p: { x: tf.Tensor }) => {
      tf.exp(p.x);
      throw new Error('from fn');
    }, { x }), { throws: 'from fn' });
    await expectNoLeak(() => grad((at) => {
      valueAndGrad((p: { x: tf.Tensor }) => { throw new Error(`nested, rank ${p.x.rank}`); }, { x: tf.exp(at) });
      return tf.sum(at);
    })(x), { throws: 'nested, rank 1' });
    await expectClose(grad((at) => tf.sum(tf.square(at)))(x), [2, 4]);
  });

  it('valueAndGrad leaves nothing behind when a gradient throws, and works again', async () => {
    const broken = tf.customGrad((x, save) => {
      (save as tf.GradSaveFunc)([x as tf.Tensor]);
      return { value: tf.exp(x as tf.Tensor), gradFunc: () => { throw new Error('from gradFunc'); } };
    });
    const x = tf.tensor([1, 2]);
    await expectNoLeak(() => valueAndGrad((p: { x: tf.Tensor }) => tf.sum(tf.tanh(broken(tf.sigmoid(p.x)))), { x }), { throws: 'from gradFunc' });
    await expectClose(grad((at) => tf.sum(tf.square(at)))(x), [2, 4]);
  });

  it('valueAndGrad in a loop does not grow', () => {
    const w = param(() => normal([3, 3]));
    const step = (): void => tf.dispose(valueAndGrad((p: { w: tf.Tensor }) => tf.mean(tf.tanh(tf.matMul(p.w, p.w))), { w }));
    step();
    const before = tf.memory().numTensors;
    for (let i = 0; i < 20; i++) step();
    expect(tf.memory().numTensors).toBe(before);
  });
});

describe('valueAndGrad errors', () => {
  const x = tf.tensor([1, 2]);

  it('valueAndGrad names the path of a parameter that no gradient reached, or gives it zeros if asked', async () => {
    const params = { blocks: [{ mlp: { up: x } }, { mlp: { up: tf.tensor([3]) } }] };
    const loss = (p: typeof params): tf.Tensor => tf.sum(p.blocks[0]!.mlp.up);
    await expectNoLeak(() => valueAndGrad(loss, params), { throws: "valueAndGrad: no gradient reached blocks.1.mlp.up. Is it used by the loss? Use it, or pass { unused: 'zero' }." });
    expect(() => valueAndGrad(loss, params, { unused: 'zeros' as 'zero' })).toThrow('valueAndGrad: unused must be one of error, zero, got zeros');
    expect(() => valueAndGrad(loss, params)).toThrow(ConfigError);
    await expectClose(valueAndGrad(loss, params, { unused: 'zero' }).grads.blocks[1]!.mlp.up, [0]);
  });

  it('valueAndGrad wants one float32 number from fn', async () => {
    vi.spyOn(console, 'error').mockImplementation(() => {}); // tfjs prints that a tidy must not return a promise
    const cases: [() => unknown, string][] = [
      [() => tf.exp(x), 'float32 [2]'], [() => tf.cast(tf.sum(x), 'int32'), 'int32 []'], [() => undefined, 'undefined'], [() => 3, '3'],
      [async () => tf.sum(x), 'a promise'],
    ];
    for (const [fn, got] of cases) {
      expect(() => valueAndGrad(fn as () => tf.Tensor, { x })).toThrow(ShapeError);
      expect(() => valueAndGrad(fn as () => tf.Tensor, { x })).toThrow(`valueAndGrad: fn must return one float32 number, got ${got}`);
    }
    vi.restoreAllMocks();
  });

  it('valueAndGrad wants float32 parameters, and at least one', () => {
    expect(() => valueAndGrad(() => tf.scalar(1), { a: { ids: tf.tensor([1], [1], 'int32') } }))
      .toThrow('valueAndGrad: a.ids must have dtype float32, got int32');
    expect(() => valueAndGrad(() => tf.scalar(1), {})).toThrow('valueAndGrad: params must have at least one leaf, got an empty tree');
  });

  it('valueAndGrad names a kernel without a gradient, and frees what was recorded', async () => {
    const image = normal([1, 4, 4, 1]) as tf.Tensor4D;
    const crop = (p: { image: tf.Tensor }): tf.Tensor => tf.sum(tf.image.cropAndResize(tf.exp(p.image) as tf.Tensor4D, [[0, 0, 1, 1]], [0], [2, 2]));
    await expectNoLeak(() => valueAndGrad(crop, { image }), { throws: 'valueAndGrad: kernel CropAndResize must have a gradient, got none registered' });
  });

  it('valueAndGrad names the kernel whose gradient has the wrong shape', async () => {
    const wrong = tf.customGrad((at) => ({ value: tf.exp(at as tf.Tensor), gradFunc: () => tf.zeros([3]) }));
    await expectNoLeak(() => grad((at) => tf.sum(wrong(at)))(x), { throws: /must be float32 \[2\], got float32 \[3\]/ });
  });
});

describe('valueAndGrad beside @tensorflow/tfjs', () => {
  it('valueAndGrad uses our gradients even when those of the umbrella package were loaded later', async () => {
    const square = (x: tf.Tensor): tf.Tensor => tf.sum(tf.mul(tf.cumsum(x, 0), tf.tensor([[1, 2, 3], [4, 5, 6], [7, 8, 9]])));
    const expected = [[12, 15, 18], [11, 13, 15], [7, 8, 9]];
    await expectClose(grad(square)(tf.zeros([3, 3])), expected);
    await import('@tensorflow/tfjs');
    await expectClose(grad(square)(tf.zeros([3, 3])), expected);
  });
});

describe('vjp(fn, inputs, dy)', () => {
  it('vjp(fn, inputs, dy) is the vector times the Jacobian', async () => {
    const [a, b] = [tf.tensor([[1, 2], [3, 4]]), tf.tensor([[5, 6], [7, 8]])];
    const dy = tf.tensor([[1, 0], [2, -1]]);
    const { value, grads } = vjp(() => tf.matMul(a, b), [a, b], dy);
    await expectClose(value, [[19, 22], [43, 50]]);
    await expectClose(grads[0] as tf.Tensor, tf.matMul(dy, b, false, true));
    await expectClose(grads[1] as tf.Tensor, tf.matMul(a, dy, true, false));
    expect(dy.isDisposed).toBe(false);
    await expectNoLeak(() => vjp(() => tf.matMul(a, b), [a, b], dy));
  });

  it('vjp(fn, inputs, dy) gives zeros for an input that fn does not use', async () => {
    const [a, b] = [tf.tensor([1, 2]), tf.tensor([3])];
    await expectClose(vjp(() => tf.exp(a), [a, b], tf.ones([2])).grads[1] as tf.Tensor, [0]);
  });

  it('vjp(fn, inputs, dy) wants dy in the shape of the result', async () => {
    const a = tf.tensor([1, 2]);
    await expectNoLeak(() => tf.tidy(() => { vjp(() => tf.exp(a), [a], tf.ones([3])); }), { throws: 'vjp: dy must have shape [2], got [3]' });
    await expectNoLeak(() => tf.tidy(() => { vjp(() => tf.cast(a, 'int32'), [a], tf.ones([2])); }), { throws: 'vjp: fn must return a float32 tensor, got int32 [2]' });
  });
});

describe("tfjs' own walk", () => {
  it('tf.variableGrads and tf.valueAndGrads run on our gradients', async () => {
    const w = param(() => tf.tensor([[1, 2], [3, 4]]));
    const loss = (): tf.Scalar => tf.sum(tf.softmax(tf.cumsum(w, 0))) as tf.Scalar;
    const { grads } = tf.variableGrads(loss, [w]);
    await expectClose(Object.values(grads)[0] as tf.Tensor, [[0, 0], [0, 0]]);
    await expectNoLeak(() => tf.variableGrads(loss, [w]));
  });
});
