import { valueAndGrad } from '@evenkeel/core-tensor';
import { crossEntropy, crossEntropyPerToken, type CrossEntropyOptions } from '@evenkeel/layers';
import { checkOpGrad, crossEntropy64, expectClose, expectNoLeak, expectNoWorseThan, forEachBackend, randomArray, randomIntegers } from '@evenkeel/testing';
import { dispose, log, softmax, neg, sum, mul, oneHot, tensor, tensor1d, tidy, zeros, type Tensor } from '@tensorflow/tfjs-core';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

const OPTIONS: CrossEntropyOptions[] = [{}, { labelSmoothing: 0.1 }, { zLoss: 1e-2 }, { labelSmoothing: 0.2, zLoss: 1e-3, ignoreIndex: 1 }];

/** Random logits and targets, some of them ignored. */
function makeInputs(rows: number, columns: number, ignoreIndex: number, seed = 1) {
  const logits = randomArray(rows * columns, { seed, std: 3 });
  const targets = randomIntegers(rows, columns, seed).map((target, i) => (i % 5 === 3 ? ignoreIndex : target));
  return { logits, targets };
}

/** Mean over the targets that count; 0 if none does. */
function mean64(losses: Float64Array, targets: Int32Array, ignoreIndex: number): number {
  const count = targets.filter((target) => target !== ignoreIndex).length;
  return losses.reduce((total, loss) => total + loss, 0) / Math.max(count, 1);
}

forEachBackend(() => {
  it.each(OPTIONS)('crossEntropyPerToken(logits, targets, %j) agrees with the float64 oracle', async (options) => {
    const { ignoreIndex = -100 } = options;
    for (const [rows, columns] of [[1, 3], [3, 65], [65, 130], [130, 3]] as const) {
      const { logits, targets } = makeInputs(rows, columns, ignoreIndex);
      const tensors = [tensor(logits, [rows, columns]), tensor1d(targets, 'int32')] as const;
      const [losses, mean] = [crossEntropyPerToken(...tensors, options), crossEntropy(...tensors, options)];
      const expected = crossEntropy64(logits, targets, columns, options);
      await expectClose(losses, expected, { rtol: 1e-5, atol: 2e-6 });
      await expectClose(mean, mean64(expected, targets, ignoreIndex), { rtol: 1e-5, atol: 1e-6 });
      dispose([...tensors, losses, mean]);
    }
  });

  it('crossEntropyPerToken has at most twice the error of log(softmax) in float32', async () => {
    const { logits, targets } = makeInputs(65, 130, -100, 3);
    const classes = targets.map((target) => Math.max(target, 0));
    const [x, t] = [tensor(logits, [65, 130]), tensor1d(classes, 'int32')];
    const losses = crossEntropyPerToken(x, t);
    const composed = tidy(() => neg(sum(mul(log(softmax(x)), oneHot(t, 130)), 1)));
    // Two units in the last place of a loss around 8.
    await expectNoWorseThan(losses, composed, crossEntropy64(logits, classes, 130), { floor: 2e-6 });
    dispose([x, t, losses, composed]);
  });

  it.each([[[65], []], [[2, 65], [2]], [[2, 3, 65], [2, 3]]] as [number[], number[]][])('crossEntropyPerToken(logits %j) gives losses %j', async (shape, expected) => {
    const rows = shape.slice(0, -1).reduce((a, b) => a * b, 1);
    const { logits, targets } = makeInputs(rows, 65, -100);
    const [x, t] = [tensor(logits, shape), tensor(targets, expected, 'int32')];
    const losses = crossEntropyPerToken(x, t);
    expect(losses.shape).toEqual(expected);
    await expectClose(losses, crossEntropy64(logits, targets, 65), { atol: 2e-6 });
    dispose([x, t, losses]);
  });

  it.each(OPTIONS)('the gradient of crossEntropy in logits matches finite differences: %j', async (options) => {
    const { ignoreIndex = -100 } = options;
    const { logits, targets } = makeInputs(9, 7, ignoreIndex);
    const [x, t] = [tensor(logits, [9, 7]) as Tensor, tensor1d(targets, 'int32')];
    await checkOpGrad<'x'>({ op: (p) => crossEntropyPerToken(p.x, t, options), oracle64: (p) => crossEntropy64(p.x, targets, 7, options), inputs: { x } });
    await checkOpGrad<'x'>({
      op: (p) => crossEntropy(p.x, t, options),
      oracle64: (p) => Float64Array.of(mean64(crossEntropy64(p.x, targets, 7, options), targets, ignoreIndex)),
      inputs: { x },
    });
    dispose([x, t]);
  });

  it('the gradient of crossEntropy is 0 in rows whose target is ignored, and adds up to 0 in the others', async () => {
    const { logits, targets } = makeInputs(5, 65, -100);
    const [x, t] = [tensor(logits, [5, 65]) as Tensor, tensor1d(targets, 'int32')];
    const { value, grads } = valueAndGrad((p: { x: Tensor }) => crossEntropy(p.x, t), { x });
    const gradient = Array.from(await grads.x.data());
    const rowOf = (r: number) => gradient.slice(r * 65, (r + 1) * 65);
    expect(rowOf(3).every((entry) => entry === 0)).toBe(true);
    for (const r of [0, 1, 2, 4]) {
      expect(rowOf(r).reduce((a, b) => a + b)).toBeCloseTo(0, 6);
      expect(Math.max(...rowOf(r).map(Math.abs))).toBeGreaterThan(1e-3);
    }
    dispose([x, t, value, grads.x]);
  });

  it('crossEntropy(logits + c) equals crossEntropy(logits), also for logits of 1e4', async () => {
    await fc.assert(fc.asyncProperty(fc.integer({ min: -10_000, max: 10_000 }), fc.nat(1000), async (c, seed) => {
      // Multiples of 1/64, so that adding c rounds nothing away.
      const logits = randomArray(3 * 17, { seed }).map((value) => Math.round(value * 64) / 64);
      const [x, moved, t] = [tensor(logits, [3, 17]), tensor(logits.map((value) => value + c), [3, 17]), tensor1d([0, 8, 16], 'int32')];
      const [a, b] = [crossEntropyPerToken(x, t), crossEntropyPerToken(moved, t)];
      await expectClose(b, a, { rtol: 0, atol: 2e-3 }); // lse − x_t of numbers around 1e4: one unit in the last place is 1e-3
      dispose([x, moved, t, a, b]);
    }), { numRuns: 15, seed: 1 });
  });

  it('crossEntropy(logits, targets) is 0, with a gradient of 0, if no target counts', async () => {
    const [x, t] = [tensor(randomArray(6), [2, 3]) as Tensor, tensor1d([-100, -100], 'int32')];
    const { value, grads } = valueAndGrad((p: { x: Tensor }) => crossEntropy(p.x, t), { x });
    await expectClose(value, 0, { atol: 0 });
    await expectClose(grads.x, new Float32Array(6), { atol: 0 });
    dispose([x, t, value, grads.x]);
  });

  it.each([-1, 3, 1000])('crossEntropy(logits, [0, %i]) of 3 classes throws or is NaN, never some other loss', async (target) => {
    const [x, t] = [tensor(randomArray(6), [2, 3]), tensor1d([0, target], 'int32')];
    let mean: Tensor | undefined;
    try {
      mean = crossEntropy(x, t);
    } catch (error) {
      expect(String(error)).toContain(`got ${target}`);
    }
    if (mean !== undefined) expect((await mean.data())[0]).toBeNaN();
    dispose([x, t]);
    mean?.dispose();
  });

  it('crossEntropy(logits, targets) lets a logit of −Infinity rule out its class', async () => {
    const [x, bare] = [tensor([[1, -Infinity, 2]]) as Tensor, tensor([[1, 2]]) as Tensor];
    const [t, second] = [tensor1d([0], 'int32'), tensor1d([1], 'int32')];
    const { value, grads } = valueAndGrad((p: { x: Tensor }) => crossEntropy(p.x, t), { x });
    const expected = valueAndGrad((p: { bare: Tensor }) => crossEntropy(p.bare, t), { bare });
    await expectClose(value, expected.value, { rtol: 1e-6 });
    const [a, c] = await expected.grads.bare.data();
    await expectClose(grads.x, [[a!, 0, c!]], { atol: 1e-6 });
    const impossible = crossEntropy(x, second);
    expect((await impossible.data())[0]).toBe(Infinity);
    dispose([x, bare, t, second, value, grads, expected, impossible]);
  });

  it('crossEntropy(logits, targets) never looks at the logits of an ignored target', async () => {
    const x = tensor([[NaN, 1, Infinity], [0, 0, 0]]) as Tensor;
    const t = tensor1d([-100, 2], 'int32');
    const { value, grads } = valueAndGrad((p: { x: Tensor }) => crossEntropy(p.x, t, { labelSmoothing: 0.1, zLoss: 0 }), { x });
    await expectClose(value, Math.log(3), { rtol: 1e-6 });
    expect(Array.from((await grads.x.data()).slice(0, 3))).toEqual([0, 0, 0]);
    dispose([x, t, value, grads]);
  });

  it('crossEntropyPerToken(logits, targets) of a single class is 0, with a gradient of 0', async () => {
    const [x, t] = [tensor([[3], [-2]]) as Tensor, tensor1d([0, -100], 'int32')];
    const losses = crossEntropyPerToken(x, t);
    await expectClose(losses, [0, 0], { atol: 1e-6 });
    const { value, grads } = valueAndGrad((p: { x: Tensor }) => crossEntropy(p.x, t), { x });
    await expectClose(grads.x, [[0], [0]], { atol: 1e-6 });
    dispose([x, t, losses, value, grads]);
  });

  it('crossEntropy(logits, targets) adds one tensor and frees the rest, also on error and in gradients', async () => {
    const [x, t] = [tensor(randomArray(6), [2, 3]) as Tensor, tensor1d([0, 2], 'int32')];
    await expectNoLeak(() => crossEntropy(x, t));
    await expectNoLeak(() => crossEntropyPerToken(x, t, { labelSmoothing: 0.1, zLoss: 0.1 }));
    await expectNoLeak(() => crossEntropy(x, x), { throws: 'crossEntropy: targets must have dtype int32, got float32' });
    await expectNoLeak(() => valueAndGrad((p: { x: Tensor }) => crossEntropy(p.x, t), { x }));
    dispose([x, t]);
  });
});

describe('crossEntropy', () => {
  it('crossEntropy(logits, targets) names what does not fit', () => {
    const [logits, targets] = [zeros([2, 5]), zeros([3], 'int32')];
    const scalar = zeros([]);
    expect(() => crossEntropy(logits, targets)).toThrow('crossEntropy: targets must have shape [2], got [3]');
    expect(() => crossEntropyPerToken(logits, targets)).toThrow('crossEntropyPerToken: targets must have shape [2], got [3]');
    expect(() => crossEntropy(targets, targets)).toThrow('crossEntropy: logits must have dtype float32, got int32');
    expect(() => crossEntropy(scalar, targets)).toThrow('crossEntropy: logits must have rank ≥ 1, got shape []');
    dispose([logits, targets, scalar]);
  });

  it('crossEntropy(logits, targets, options) names options that are out of range', () => {
    const [logits, targets] = [zeros([2, 5]), zeros([2], 'int32')];
    expect(() => crossEntropy(logits, targets, { labelSmoothing: 1.5 })).toThrow('crossEntropy: labelSmoothing must be between 0 and 1, got 1.5');
    for (const ignoreIndex of [0.5, NaN, 2 ** 31]) {
      expect(() => crossEntropy(logits, targets, { ignoreIndex })).toThrow(`crossEntropy: ignoreIndex must be an integer of 32 bits, got ${ignoreIndex}`);
    }
    expect(() => crossEntropy(logits, targets, { zLoss: -1 })).toThrow('crossEntropy: zLoss must be between 0 and');
    dispose([logits, targets]);
  });
});
