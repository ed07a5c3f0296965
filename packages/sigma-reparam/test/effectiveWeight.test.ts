import { grads as tfjsGrads, dispose, dot, mul, norm, reshape, sin, square, sum, tensor, tensor1d, zeros, type Tensor } from '@tensorflow/tfjs-core';
import { hasKernel, valueAndGrad } from '@evenkeel/core-tensor';
import { effectiveWeight } from '@evenkeel/sigma-reparam';
import { checkGrad, checkOpGrad, expectClose, expectNoLeak, forEachBackend, randomArray, randomTensor } from '@evenkeel/testing';
import { describe, expect, it } from 'vitest';
import { dot64, effective64, numberOf, svd64, valuesOf, type Matrix64 } from './oracle64.ts';

type Given = { weight: Tensor; gamma: Tensor; u: Tensor; v: Tensor };

const inDimOf = (shape: readonly number[]): number => shape.slice(1).reduce((product, size) => product * size, 1);

/** Vectors that are no singular pair, but not orthogonal to what they meet either. */
async function given(shape: readonly number[], seed = 1): Promise<Given & { matrix: Matrix64 }> {
  const [rows, columns] = [shape[0]!, inDimOf(shape)];
  const weight = randomTensor(shape as [number, number], { seed }) as Tensor;
  const matrix = { values: await weight.data(), rows, columns };
  const { u, v } = svd64(matrix);
  const near = (exact: Float64Array, noise: number): Tensor => tensor1d(Float32Array.from(exact, (value, i) => value + 0.1 * randomArray(exact.length, { seed: noise })[i]!));
  return { weight, gamma: tensor1d([1.7]), u: near(u, seed + 1), v: near(v, seed + 2), matrix };
}

const free = ({ weight, gamma, u, v }: Given): void => dispose([weight, gamma, u, v]);

forEachBackend((backend) => {
  it('effectiveWeight(params, vectors) and the power iteration have kernels of their own on every backend but tfjs\' CPU', () => {
    const names = ['evenkeel/sigmaReparam', 'evenkeel/sigmaReparamGrad', 'evenkeel/powerIteration'];
    expect(names.map(hasKernel)).toEqual(names.map(() => backend !== 'cpu'));
  });

  it.each([[[1, 1]], [[3, 65]], [[65, 3]], [[130, 65]], [[300, 7]], [[5, 3, 4, 2]]])('effectiveWeight(params, vectors) is (gamma/sigma)·W for a weight of shape %j', async (shape) => {
    const { matrix, ...tensors } = await given(shape);
    const y = effectiveWeight(tensors, tensors);
    const { gamma, u, v } = await valuesOf(tensors);
    expect(y.shape).toEqual(shape);
    await expectClose(y, effective64(matrix, gamma[0]!, u, v), { rtol: 2e-5, atol: 1e-6 });
    dispose(y);
    free(tensors);
  });

  it.each([[[3, 5]], [[65, 3]], [[2, 65]], [[4, 3, 2, 2]]])('the gradients of effectiveWeight match finite differences in weight %j and gamma, u and v held', async (shape) => {
    const { matrix, ...tensors } = await given(shape);
    const { u, v } = await valuesOf(tensors);
    await checkOpGrad<'weight' | 'gamma'>({
      op: (params) => effectiveWeight(params, tensors),
      oracle64: ({ weight, gamma }) => effective64({ ...matrix, values: weight }, gamma[0]!, u, v),
      inputs: { weight: tensors.weight, gamma: tensors.gamma },
    });
    free(tensors);
  });

  it('the gradients at the singular pair are those of gamma·W/‖W‖₂ itself', async () => {
    const weight = randomTensor([5, 4], { seed: 3 }) as Tensor;
    const matrix = { values: await weight.data(), rows: 5, columns: 4 };
    const exact = svd64(matrix);
    const [u, v, gamma, cotangent] = [tensor1d(Float32Array.from(exact.u)), tensor1d(Float32Array.from(exact.v)), tensor1d([-0.6]), randomArray(20, { seed: 9 })];
    const { value, grads } = valueAndGrad((p: { weight: Tensor; gamma: Tensor }) => sum(mul(effectiveWeight(p, { u, v }), tensor(cotangent, [5, 4]))), { weight, gamma });
    await checkGrad<'weight' | 'gamma'>({
      loss64: (p) => dot64(p.weight, cotangent) * (p.gamma[0]! / svd64({ ...matrix, values: p.weight }).sigma),
      inputs: { weight, gamma }, gradients: grads,
    });
    dispose([weight, u, v, gamma, value, grads]);
  });

  it('a weight c times as large gives the same map, gradients 1/c times as large, and none along the weight', async () => {
    const { matrix: _, ...tensors } = await given([33, 20], 4);
    const cotangent = randomTensor([33, 20], { seed: 8 });
    const run = (weight: Tensor) => valueAndGrad((p: { weight: Tensor; gamma: Tensor }) => sum(mul(sin(effectiveWeight(p, tensors)), cotangent)), { weight, gamma: tensors.gamma });
    const before = run(tensors.weight);
    for (const c of [1e-3, 0.5, 700]) {
      const weight = mul(tensors.weight, c);
      const [y, plain] = [effectiveWeight({ ...tensors, weight }, tensors), effectiveWeight(tensors, tensors)];
      await expectClose(y, plain, { rtol: 1e-5 });
      const { value, grads } = run(weight);
      await expectClose(mul(grads.weight, c), before.grads.weight, { rtol: 1e-4, atol: 1e-5 });
      await expectClose(grads.gamma, before.grads.gamma, { rtol: 1e-4, atol: 1e-5 });
      const [along, size] = [await numberOf(() => sum(mul(grads.weight, weight))), await numberOf(() => mul(norm(grads.weight), norm(weight)))];
      expect(size).toBeGreaterThan(1);
      expect(Math.abs(along)).toBeLessThan(1e-5 * size);
      dispose([weight, y, plain, value, grads]);
    }
    dispose([cotangent, before]);
    free(tensors);
  });

  it('effectiveWeight(params, vectors) adds one tensor and frees the rest, also on error and in gradients', async () => {
    const { matrix: _, ...tensors } = await given([4, 3]);
    await expectNoLeak(() => effectiveWeight(tensors, tensors));
    await expectNoLeak(() => effectiveWeight(tensors, { u: tensors.v, v: tensors.v }), { throws: 'effectiveWeight: u must have shape [4], got [3]' });
    await expectNoLeak(() => valueAndGrad((p: { weight: Tensor }) => sum(effectiveWeight({ ...tensors, ...p }, tensors)), { weight: tensors.weight }));
    await expectNoLeak(() => tfjsGrads((weight: Tensor, gamma: Tensor) => sum(effectiveWeight({ weight, gamma }, tensors)))([tensors.weight, tensors.gamma]));
    free(tensors);
  });

  it('effectiveWeight can be differentiated twice', async () => {
    const { matrix, ...tensors } = await given([3, 4], 6);
    const { u, v } = await valuesOf(tensors);
    const cotangent = randomArray(12, { seed: 5 });
    const inner = (weight: Tensor): Tensor => valueAndGrad((p: { weight: Tensor }) => sum(square(effectiveWeight({ ...tensors, ...p }, tensors))), { weight }).grads.weight;
    const { value, grads } = valueAndGrad((p: { weight: Tensor }) => dot(reshape(inner(p.weight), [12]), tensor1d(cotangent)), { weight: tensors.weight });
    /** ⟨∇f, cotangent⟩ by the closed form, f = Σ Ŵ²: G = 2 Ŵ. */
    const slope64 = (weight: Float64Array): number => {
      const scaled = effective64({ ...matrix, values: weight }, 1.7, u, v);
      const factor = scaled[0]! / weight[0]!;
      const sigma = 1.7 / factor;
      const along = dot64(scaled, weight) * 2 / sigma;
      return weight.reduce((total, _, i) => total + factor * (2 * scaled[i]! - along * u[Math.floor(i / 4)]! * v[i % 4]!) * cotangent[i]!, 0);
    };
    await checkGrad<'weight'>({ loss64: (p) => slope64(p.weight), inputs: { weight: tensors.weight }, gradients: grads });
    dispose([value, grads]);
    free(tensors);
  });
});

describe('effectiveWeight', () => {
  it('effectiveWeight(params, vectors) names the tensor that does not fit', () => {
    const [weight, gamma, u, v] = [zeros([4, 3]), zeros([1]), zeros([4]), zeros([3])];
    expect(() => effectiveWeight({ weight: u, gamma }, { u, v })).toThrow('effectiveWeight: weight must have rank ≥ 2, got shape [4]');
    expect(() => effectiveWeight({ weight, gamma: u }, { u, v })).toThrow('effectiveWeight: gamma must have shape [1], got [4]');
    expect(() => effectiveWeight({ weight, gamma }, { u, v: u })).toThrow('effectiveWeight: v must have shape [3], got [4]');
    expect(() => effectiveWeight({ weight: zeros([4, 3], 'int32'), gamma }, { u, v })).toThrow('effectiveWeight: weight must have dtype float32, got int32');
    expect(() => effectiveWeight({ weight, gamma }, { u: zeros([4], 'int32'), v })).toThrow('effectiveWeight: u must have dtype float32, got int32');
  });
});
