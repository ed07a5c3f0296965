/** The invariants of DeiT-LT (arXiv:2404.02900). */
import { add, argMax, mul, sum, tensor, tensor1d, tensor2d, tidy, type Tensor, type Tensor4D } from '@tensorflow/tfjs-core';
import { describe, expect, it } from 'vitest';
import { valueAndGrad } from '@evenkeel/core-tensor';
import { longTailedCounts } from '@evenkeel/data';
import { crossEntropy } from '@evenkeel/layers';
import {
  classBalancedWeights, cosineLayer, deferredReweighting, distillationLoss, groupAccuracies, ldamLoss, ldamMargins, smallCnn, vit, weightedCrossEntropy,
} from '@evenkeel/models-vit';
import { adamw, applyUpdates, sam } from '@evenkeel/optimizers';
import { checkOpGrad, expectClose, forEachBackend, logSumExp64, randomTensor } from '@evenkeel/testing';

const COUNTS = longTailedCounts({ largest: 5000, numClasses: 10, ratio: 0.01 });
const total = (values: readonly number[]): number => values.reduce((sum_, value) => sum_ + value, 0);
const first = async (x: Tensor): Promise<number> => (await x.data())[0]!;

describe('classBalancedWeights and ldamMargins', () => {
  it('give the known weights of CIFAR-10 with imbalance 100, which add up to the number of classes', () => {
    const weights = classBalancedWeights(COUNTS);
    [0.0506, 0.0769, 0.1211, 0.1950, 0.3188, 0.5246, 0.8683, 1.4426, 2.4092, 3.9927].forEach((expected, i) => expect(Math.abs(weights[i]! - expected)).toBeLessThan(1e-4));
    expect(total(weights)).toBeCloseTo(10, 10);
  });

  it('are all 1 with beta 0', () => {
    expect(classBalancedWeights(COUNTS, { beta: 0 })).toEqual(COUNTS.map(() => 1));
  });

  it('deferredReweighting has weights 1 before its epoch and the others from it on', () => {
    const weightsOf = deferredReweighting({ counts: COUNTS, start: 3, beta: 0.99 });
    expect([weightsOf(0), weightsOf(2)]).toEqual([COUNTS.map(() => 1), COUNTS.map(() => 1)]);
    expect(weightsOf(3)).toEqual(classBalancedWeights(COUNTS, { beta: 0.99 }));
  });

  it('ldamMargins differ by the fourth root of the counts, the rarest class having the largest', () => {
    const margins = ldamMargins(COUNTS, { largest: 0.4 });
    expect(margins[9]).toBeCloseTo(0.4, 12);
    for (const [j, k] of [[0, 9], [2, 5], [7, 1]] as const) expect(margins[j]! / margins[k]!).toBeCloseTo((COUNTS[k]! / COUNTS[j]!) ** 0.25, 10);
    expect(ldamMargins(COUNTS, { largest: 0 })).toEqual(COUNTS.map(() => 0));
  });

  it('name counts that are none', () => {
    expect(() => classBalancedWeights([3, 0])).toThrow('classBalancedWeights: counts must be an integer ≥ 1, got 0');
    expect(() => ldamMargins([])).toThrow('ldamMargins: counts must have a class or more, got none');
    expect(() => classBalancedWeights([3], { beta: 1 })).toThrow('classBalancedWeights: beta must be in [0, 1), got 1');
  });
});

describe('groupAccuracies', () => {
  it('are means over the classes of each group', () => {
    const labels = [0, 0, 0, 0, 1, 1, 2, 3];
    const { overall, head, mid, tail, perClass } = groupAccuracies([0, 0, 0, 1, 1, 0, 2, 0], labels, { numClasses: 4, head: 1, tail: 1 });
    expect([overall, head, mid, tail, perClass]).toEqual([5 / 8, 0.75, 0.75, 0, [0.75, 0.5, 1, 0]]);
    expect(() => groupAccuracies([0], [0], { numClasses: 4, head: 1, tail: 1 })).toThrow('groupAccuracies: labels must have an image of each class, got none of class 1');
    expect(() => groupAccuracies([0], [4], { numClasses: 4, head: 1, tail: 1 })).toThrow('groupAccuracies: labels must be from 0 to 3, got 4 for image 0');
    expect(() => groupAccuracies([0], [0], { numClasses: 4, head: 2, tail: 2 })).toThrow('groupAccuracies: head and tail must leave a class between them, got 2 and 2 of 4');
  });
});

forEachBackend(['cpu', 'evenkeel-wasm'], () => {
  describe('weightedCrossEntropy', () => {
    it('is the weighted mean; multiplying the weights changes nothing; equal ones give the plain mean', async () => {
      const logits = randomTensor([4, 3]) as Tensor;
      const targets = tensor1d([2, 0, 0, 1], 'int32');
      const weights = [0.2, 1, 3];
      const [z, y] = [await logits.data(), [2, 0, 0, 1]];
      const nll = Array.from(logSumExp64(z, 3), (lse, b) => lse - z[b * 3 + y[b]!]!);
      const expected = total(nll.map((each, b) => weights[y[b]!]! * each)) / total(y.map((each) => weights[each]!));
      expect(await first(weightedCrossEntropy(logits, targets, tensor1d(weights)))).toBeCloseTo(expected, 5);
      expect(await first(weightedCrossEntropy(logits, targets, tensor1d(weights.map((each) => 7 * each))))).toBeCloseTo(expected, 5);
      const plain = await first(crossEntropy(logits, targets));
      expect(await first(weightedCrossEntropy(logits, targets, tensor1d([2, 2, 2])))).toBeCloseTo(plain, 5);
      expect(await first(weightedCrossEntropy(logits, targets))).toBe(plain);
      expect(() => weightedCrossEntropy(logits, targets, tensor1d([1, 2]))).toThrow('weightedCrossEntropy: weights must have shape [3], got [2]');
      await checkOpGrad<'logits'>({
        op: (p) => weightedCrossEntropy(p.logits, targets, tensor1d(weights)), inputs: { logits },
        oracle64: (p) => Float64Array.of(total(Array.from(logSumExp64(p.logits, 3), (lse, b) => weights[y[b]!]! * (lse - p.logits[b * 3 + y[b]!]!))) / total(y.map((each) => weights[each]!))),
      });
    });
  });

  describe('ldamLoss', () => {
    it('without margins is the cross-entropy of scaled cosines; with them the target needs more', async () => {
      const cosines = mul(randomTensor([4, 3]), 0.3) as Tensor;
      const targets = tensor1d([2, 0, 0, 1], 'int32');
      const plain = await first(crossEntropy(mul(cosines, 30), targets));
      expect(await first(ldamLoss(cosines, targets, { margins: tensor1d([0, 0, 0]) }))).toBeCloseTo(plain, 4);
      const margins = tensor1d([0.1, 0.2, 0.5]);
      const shifted = tidy(() => mul(add(cosines, tensor2d([[0, 0, -0.5], [-0.1, 0, 0], [-0.1, 0, 0], [0, -0.2, 0]])), 20)) as Tensor;
      expect(await first(ldamLoss(cosines, targets, { margins, scale: 20 }))).toBeCloseTo(await first(crossEntropy(shifted, targets)), 4);
      expect(() => ldamLoss(cosines, targets, { margins: tensor1d([1]) })).toThrow('ldamLoss: margins must have shape [3], got [1]');
    });

    it('takes the cosines of cosineLayer, which lie in [−1, 1] and do not depend on how long features and directions are', async () => {
      const layer = cosineLayer()(5, 3);
      const [x, weight] = [randomTensor([4, 5]) as Tensor, randomTensor([3, 5], { seed: 2 }) as Tensor];
      const cosines = Array.from(await layer.apply(x, { weight }).data());
      expect(cosines.every((each) => Math.abs(each) <= 1 + 1e-6)).toBe(true);
      const [xs, ws] = [await x.data(), await weight.data()];
      const dot = (a: ArrayLike<number>, b: ArrayLike<number>, i: number, j: number): number => total(Array.from({ length: 5 }, (_, k) => a[i * 5 + k]! * b[j * 5 + k]!));
      expect(cosines[5]).toBeCloseTo(dot(xs, ws, 1, 2) / Math.sqrt(dot(xs, xs, 1, 1) * dot(ws, ws, 2, 2)), 5);
      await expectClose(layer.apply(mul(x, 4), { weight: mul(weight, 0.1) }), tensor(cosines, [4, 3]), { rtol: 1e-4, atol: 1e-5 });
    });
  });

  describe('distillationLoss', () => {
    const model = vit({ imageSize: 8, patchSize: 4, numClasses: 5, depth: 1, dim: 12, numHeads: 3, distilled: true });
    const targets = () => tensor1d([1, 4, 0], 'int32');
    const images = () => randomTensor([3, 8, 8, 3]) as Tensor4D;

    it('with alpha 0 the distillation head has no gradient at all, with alpha 1 the class head has none', async () => {
      for (const [alpha, silent] of [[0, 'distillationHead'], [1, 'head']] as const) {
        const params = model.init({ seed: 1 });
        const [batch, teacherLogits] = [images(), randomTensor([3, 5], { seed: 9 }) as Tensor];
        const { grads } = valueAndGrad((p) => distillationLoss(model.heads(batch, p) as { cls: Tensor; dist: Tensor }, { targets: targets(), teacherLogits }, { alpha }), params);
        const of = async (head: 'head' | 'distillationHead'): Promise<number> => {
          const { weight, bias } = grads[head] as unknown as { weight: Tensor; bias: Tensor };
          return await first(sum(mul(weight, weight))) + await first(sum(mul(bias, bias)));
        };
        expect(await of(silent)).toBe(0);
        expect(await of(silent === 'head' ? 'distillationHead' : 'head')).toBeGreaterThan(0);
      }
    });

    it('is (1 − alpha) of the labels and alpha of the teacher\'s argmax, weighted; a constant on its logits changes nothing', async () => {
      const [cls, dist, teacherLogits] = [1, 2, 3].map((seed) => randomTensor([3, 5], { seed }) as Tensor) as [Tensor, Tensor, Tensor];
      const soft = tensor2d([[0.5, 0.5, 0, 0, 0], [0, 1, 0, 0, 0], [0, 0, 0.2, 0.8, 0]]);
      const classWeights = tensor1d([1, 2, 3, 4, 5]);
      const labels = tidy(() => argMax(teacherLogits, 1)) as Tensor;
      const ofClass = await first(distillationLoss({ cls, dist }, { targets: soft, teacherLogits, classWeights }, { alpha: 0 }));
      const ofTeacher = await first(weightedCrossEntropy(dist, labels, classWeights));
      const whole = await first(distillationLoss({ cls, dist }, { targets: soft, teacherLogits, classWeights }, { alpha: 0.3 }));
      expect(whole).toBeCloseTo(0.7 * ofClass + 0.3 * ofTeacher, 5);
      expect(await first(distillationLoss({ cls, dist }, { targets: soft, teacherLogits: add(teacherLogits, 8) as Tensor, classWeights }, { alpha: 0.3 }))).toBe(whole);
      expect(() => distillationLoss({ cls, dist }, { targets: soft, teacherLogits: randomTensor([3, 4]) as Tensor })).toThrow('distillationLoss: teacherLogits must have shape [3, 5], got [3, 4]');
      expect(() => distillationLoss({ cls, dist }, { targets: soft, teacherLogits }, { alpha: 2 })).toThrow('distillationLoss: alpha must be between 0 and 1, got 2');
    });

    it('lets no gradient reach the teacher', async () => {
      const teacher = smallCnn({ imageSize: 8, numClasses: 5, widths: [4] });
      const both = { student: model.init({ seed: 1 }), teacher: teacher.init({ seed: 2 }) };
      const batch = images();
      const { grads } = valueAndGrad(
        (p) => distillationLoss(model.heads(batch, p.student) as { cls: Tensor; dist: Tensor }, { targets: targets(), teacherLogits: teacher.apply(batch, p.teacher) }), both, { unused: 'zero' });
      const norm = async (tree: unknown): Promise<number> => first(sum(mul(tree as Tensor, tree as Tensor)));
      expect(await norm(grads.teacher.convolutions[0]!.weight)).toBe(0);
      expect(await norm((grads.student.head as unknown as { weight: Tensor }).weight)).toBeGreaterThan(0);
    });
  });
});

forEachBackend(['evenkeel-wasm'], () => {
  describe('smallCnn', () => {
    it('is a convolution, SiLU and a 2 × 2 mean, then the head', async () => {
      const model = smallCnn({ imageSize: 4, numClasses: 2, channels: 2, widths: [3] });
      const params = model.init({ seed: 1 });
      const images = randomTensor([1, 4, 4, 2]) as Tensor4D;
      const [x, w, head] = await Promise.all([images, params.convolutions[0]!.weight, (params.head as unknown as { weight: Tensor }).weight].map((each) => each.data())) as [Float32Array, Float32Array, Float32Array];
      const at = (y: number, z: number, c: number): number => (y < 0 || y > 3 || z < 0 || z > 3 ? 0 : x[(y * 4 + z) * 2 + c]!);
      const convolved = (y: number, z: number, o: number): number => {
        let value = 0;
        for (let dy = 0; dy < 3; dy++) for (let dz = 0; dz < 3; dz++) for (let c = 0; c < 2; c++) value += w[o * 18 + (dy * 3 + dz) * 2 + c]! * at(y + dy - 1, z + dz - 1, c);
        return value / (1 + Math.exp(-value));
      };
      const pooled = [0, 1].flatMap((y) => [0, 1].flatMap((z) => [0, 1, 2].map((o) => (convolved(2 * y, 2 * z, o) + convolved(2 * y, 2 * z + 1, o) + convolved(2 * y + 1, 2 * z, o) + convolved(2 * y + 1, 2 * z + 1, o)) / 4)));
      const expected = [0, 1].map((n) => total(pooled.map((value, i) => value * head[n * 12 + i]!)));
      (await model.apply(images, params).data()).forEach((value, n) => expect(value).toBeCloseTo(expected[n]!, 5));
      expect(() => smallCnn({ imageSize: 6, numClasses: 2 })).toThrow('smallCnn: imageSize must be divisible by 2 per convolution, got 6 and 4');
      expect(() => model.apply(randomTensor([1, 8, 8, 2]) as Tensor4D, params)).toThrow('smallCnn: images must have shape […, 4, 4, 2], got [1, 8, 8, 2]');
    });

    it('learns with LDAM and SAM: its loss falls and it separates two classes', async () => {
      const model = smallCnn({ imageSize: 4, numClasses: 2, channels: 1, widths: [4], head: cosineLayer() });
      const params = model.init({ seed: 1 });
      const labels = Array.from({ length: 16 }, (_, i) => (i < 12 ? 0 : 1));
      const noise = await randomTensor([16 * 16], { std: 0.3 }).data();
      const images = tensor(Float32Array.from(noise, (value, i) => value + (labels[Math.floor(i / 16)] === (i % 4 < 2 ? 0 : 1) ? 1 : 0)), [16, 4, 4, 1]) as Tensor4D;
      const [targets, margins] = [tensor1d(labels, 'int32'), tensor1d(ldamMargins([12, 4]))];
      const [optimizer, gradient] = [adamw({ learningRate: 0.02 }), sam({ rho: 0.05 })];
      const state = optimizer.init(params);
      const losses: number[] = [];
      for (let step = 0; step < 40; step++) {
        const loss = tidy(() => {
          const { value, grads } = gradient((p) => ldamLoss(model.apply(images, p), targets, { margins }), params);
          applyUpdates(params, optimizer.update(grads, state, params));
          return value;
        });
        losses.push(await first(loss));
      }
      expect(losses.at(-1)!).toBeLessThan(0.2 * losses[0]!);
      expect(Array.from(await argMax(model.apply(images, params), 1).data())).toEqual(labels);
    });
  });
});
