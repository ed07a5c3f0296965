import { dispose, mul, ones, reshape, sum, tensor, transpose, zeros, type Tensor } from '@tensorflow/tfjs-core';
import { treeMap, valueAndGrad } from '@evenkeel/core-tensor';
import { effectiveWeight, singularVectors, spectralNorm } from '@evenkeel/sigma-reparam';
import { expectClose, expectNoLeak, forEachBackend, randomTensor, readValues } from '@evenkeel/testing';
import { describe, expect, it } from 'vitest';
import { dot64, numberOf, svd64 } from './oracle64.ts';

const SHAPES = [[1, 1], [3, 65], [65, 3], [65, 65], [130, 33], [7, 3, 4, 2]];
const ofShape = (shape: readonly number[], seed = 1): Tensor => randomTensor(shape as [number, number], { seed });

async function exactOf(weight: Tensor): Promise<ReturnType<typeof svd64>> {
  const rows = weight.shape[0]!;
  return svd64({ values: await weight.data(), rows, columns: weight.size / rows });
}

forEachBackend(() => {
  it.each(SHAPES.map((shape) => [shape]))('spectralNorm(weight) after 200 iterations is the largest singular value of a weight %j to 1e-4', async (shape) => {
    const weight = ofShape(shape);
    const { sigma } = await exactOf(weight);
    expect(Math.abs(await numberOf(() => spectralNorm(weight, { iterations: 200 })) / sigma - 1)).toBeLessThan(1e-4);
    weight.dispose();
  });

  it('the effective weight has the spectral norm |gamma| once the vectors have converged', async () => {
    for (const shape of [[65, 65], [33, 130]]) {
      const [weight, gamma] = [ofShape(shape, 3), tensor([-2.5])];
      const vectors = singularVectors(weight, { iterations: 200 });
      const y = effectiveWeight({ weight, gamma }, vectors);
      expect(Math.abs((await exactOf(y)).sigma / 2.5 - 1)).toBeLessThan(1e-4);
      dispose([weight, gamma, vectors, y]);
    }
  });

  it.each(SHAPES.map((shape) => [shape]))('singularVectors(weight) are the leading pair of a weight %j, of length 1 from the first step on', async (shape) => {
    const weight = ofShape(shape, 5);
    const exact = await exactOf(weight);
    const [one, many] = [singularVectors(weight, { iterations: 1 }), singularVectors(weight, { iterations: 400 })];
    for (const x of [one.u, one.v, many.u, many.v]) expect(await numberOf(() => sum(mul(x, x)))).toBeCloseTo(1, 5);
    const [u, v] = [(await readValues(many.u)).data, (await readValues(many.v)).data];
    expect(Math.abs(dot64(u, exact.u))).toBeGreaterThan(0.999);
    expect(dot64(u, exact.u) * dot64(v, exact.v)).toBeGreaterThan(0.998); // of one sign
    dispose([weight, one, many]);
  });

  it('singularVectors(weight, { start }) goes on from an earlier result, bit for bit', async () => {
    const weight = ofShape([20, 31]);
    const [first, whole] = [singularVectors(weight, { iterations: 4 }), singularVectors(weight, { iterations: 7 })];
    const rest = singularVectors(weight, { iterations: 3, start: first.v });
    await expectClose(rest.u, whole.u, { rtol: 0, atol: 0 });
    await expectClose(rest.v, whole.v, { rtol: 0, atol: 0 });
    dispose([weight, first, whole, rest]);
  });

  it('spectralNorm(weight) is that of the transpose, and c times as large for c times the weight', async () => {
    const weight = ofShape([40, 25]);
    const norm = await numberOf(() => spectralNorm(weight, { iterations: 300 }));
    expect(await numberOf(() => spectralNorm(transpose(weight), { iterations: 300 })) / norm).toBeCloseTo(1, 4);
    for (const c of [1e-6, 3, 1e6]) expect(await numberOf(() => spectralNorm(mul(weight, c), { iterations: 300 })) / (c * norm)).toBeCloseTo(1, 4);
    weight.dispose();
  });

  it('no gradient flows through singularVectors and spectralNorm', async () => {
    const weight = ofShape([4, 3]);
    const { value, grads } = valueAndGrad((p: { weight: Tensor }) => {
      const { u } = singularVectors(p.weight, { iterations: 2 });
      return mul(sum(mul(p.weight, reshape(u, [4, 1]))), spectralNorm(p.weight));
    }, { weight });
    const [norm, { u }] = [spectralNorm(weight), singularVectors(weight, { iterations: 2 })];
    const expected = mul(mul(reshape(u, [4, 1]), norm), ones([4, 3]));
    await expectClose(grads.weight, expected);
    dispose([weight, value, grads, norm, u, expected]);
  });

  it('spectralNorm(weight) adds one tensor, singularVectors(weight) two, also within a gradient and on error', async () => {
    const [weight, start] = [ofShape([5, 4]), zeros([3])];
    await expectNoLeak(() => spectralNorm(weight));
    await expectNoLeak(() => treeMap((x: Tensor) => x, singularVectors(weight)));
    await expectNoLeak(() => valueAndGrad((p: { weight: Tensor }) => mul(sum(p.weight), spectralNorm(p.weight)), { weight }));
    await expectNoLeak(() => singularVectors(weight, { start }), { throws: 'singularVectors: start must have shape [4], got [3]' });
    dispose([weight, start]);
  });
});

describe('spectralNorm', () => {
  it('spectralNorm(weight) and singularVectors(weight) name what does not fit', () => {
    expect(() => spectralNorm(zeros([4]))).toThrow('spectralNorm: weight must have rank ≥ 2, got shape [4]');
    expect(() => spectralNorm(zeros([4, 2], 'int32'))).toThrow('spectralNorm: weight must have dtype float32, got int32');
    expect(() => spectralNorm(zeros([4, 2]), { iterations: 0 })).toThrow('spectralNorm: iterations must be an integer ≥ 1, got 0');
    expect(() => singularVectors(zeros([4]))).toThrow('singularVectors: weight must have rank ≥ 2, got shape [4]');
    expect(() => singularVectors(zeros([4, 2], 'int32'))).toThrow('singularVectors: weight must have dtype float32, got int32');
    expect(() => singularVectors(zeros([4, 2]), { iterations: 1.5 })).toThrow('singularVectors: iterations must be an integer ≥ 1, got 1.5');
  });
});
