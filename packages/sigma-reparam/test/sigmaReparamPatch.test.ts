import { initParams, treeEntries, truncatedNormal, valueAndGrad, type Params, type ParamSpec, type Tree } from '@evenkeel/core-tensor';
import { convertToSigmaReparam, foldSigmaReparam, sigmaReparamPatch, spectralNorm, type SigmaReparamPatchOptions } from '@evenkeel/sigma-reparam';
import { checkOpGrad, expectClose, expectNoLeak, forEachBackend, randomTensor } from '@evenkeel/testing';
import { conv2d, dispose, reshape, sum, tensor1d, transpose, zeros, type Tensor, type Tensor4D, type Variable } from '@tensorflow/tfjs-core';
import { describe, expect, it } from 'vitest';
import { effective64, numberOf, valuesOf } from './oracle64.ts';

type Shape = readonly [b: number, h: number, w: number, c: number];

/** One dot product per patch and output, over the pixels of the patch: `b h w c` and `o c kh kw` → `b t o`. */
function patches64(images: ArrayLike<number>, [B, H, W, C]: Shape, kernel: ArrayLike<number>, bias: ArrayLike<number>, [o, kh, kw]: readonly [number, number, number]): Float64Array {
  const y: number[] = [];
  for (let b = 0; b < B; b++) for (let top = 0; top < H; top += kh) for (let left = 0; left < W; left += kw) for (let out = 0; out < o; out++) {
    let sum = bias[out]!;
    for (let c = 0; c < C; c++) for (let i = 0; i < kh; i++) for (let j = 0; j < kw; j++) {
      sum += images[((b * H + top + i) * W + left + j) * C + c]! * kernel[((out * C + c) * kh + i) * kw + j]!;
    }
    y.push(sum);
  }
  return Float64Array.from(y);
}

function make(options: SigmaReparamPatchOptions, channels: number, dim: number) {
  const layer = sigmaReparamPatch(options)(channels, dim);
  const params = initParams(layer.specs, 2, layer.initialiserOf) as Params as unknown as { weight: Variable; gamma: Variable; bias: Variable };
  const state = layer.state!.init(params) as unknown as { u: Variable; v: Variable };
  return { layer, params, state };
}

const free = (...things: unknown[]): void => dispose(things as never);

forEachBackend(() => {
  it.each([
    [[1, 1, 1, 1], 1, 1], [[2, 6, 9, 3], 3, 5], [[3, 4, 10, 2], [2, 5], 7], [[1, 65, 65, 1], 13, 3],
  ] as const)('the layer maps each patch of images %j with patches of %j to %i channels', async (shape, patchSize, dim) => {
    const { layer, params, state } = make({ patchSize, initialiser: truncatedNormal({ std: 1 }) }, shape[3], dim);
    params.bias.assign(randomTensor([dim], { seed: 8 }) as never);
    const images = randomTensor([...shape] as [number, number, number, number]) as Tensor;
    const y = layer.apply(images, params, { state });
    const { weight, gamma, bias, u, v } = await valuesOf({ ...params, ...state });
    const [kh, kw] = typeof patchSize === 'number' ? [patchSize, patchSize] : patchSize;
    const kernel = effective64({ values: weight, rows: dim, columns: weight.length / dim }, gamma[0]!, u, v);
    expect(y.shape).toEqual([shape[0], (shape[1] / kh) * (shape[2] / kw), dim]);
    await expectClose(y, patches64(await images.data(), shape, kernel, bias, [dim, kh, kw]), { rtol: 2e-5, atol: 1e-5 });
    await expectNoLeak(() => valueAndGrad((p: typeof params) => sum(layer.apply(images, p, { state })), params));
    free(params, state, images, y);
  });

  it('the layer is the convolution whose stride is its size', async () => {
    const { layer, params, state } = make({ patchSize: [2, 3] }, 4, 6);
    const images = randomTensor([2, 4, 9, 4]) as Tensor4D;
    const folded = foldSigmaReparam(params, state) as unknown as { weight: Tensor4D };
    const kernel = transpose(folded.weight, [2, 3, 1, 0]); // h w c o, as tfjs wants it
    const [y, convolved] = [layer.apply(images, params, { state }), conv2d(images, kernel as Tensor4D, [2, 3], 'valid')];
    const expected = reshape(convolved, [2, 6, 6]);
    await expectClose(y, expected, { rtol: 1e-4, atol: 1e-6 });
    free(params, state, images, folded, kernel, y, convolved, expected);
  });

  it('the gradients of the layer in images, weight, gamma and bias match finite differences', async () => {
    const { layer, params, state } = make({ patchSize: 2 }, 3, 4);
    const { u, v } = await valuesOf(state);
    const shape = [2, 2, 4, 3] as const;
    const inputs = { images: randomTensor([...shape]) as Tensor, weight: randomTensor([4, 3, 2, 2], { seed: 2 }) as Tensor, gamma: tensor1d([-1.2]) as Tensor, bias: randomTensor([4], { seed: 3 }) as Tensor };
    await checkOpGrad<keyof typeof inputs>({
      op: ({ images, ...rest }) => layer.apply(images, rest, { state }),
      oracle64: ({ images, weight, gamma, bias }) => patches64(images, shape, effective64({ values: weight, rows: 4, columns: 12 }, gamma[0]!, u, v), bias, [4, 2, 2]),
      inputs,
    });
    free(params, state, inputs);
  });

  it('gamma is the spectral norm of the kernel as a matrix of c·h·w columns, and the state follows it', async () => {
    const { layer, params, state } = make({ patchSize: 2, gammaInit: 'spectral', initIterations: 200 }, 3, 5);
    expect((await params.gamma.data())[0]! / await numberOf(() => spectralNorm(reshape(params.weight, [5, 12]), { iterations: 200 }))).toBeCloseTo(1, 5);
    expect([state.u.shape, state.v.shape]).toEqual([[5], [12]]);
    const before = await state.v.data();
    params.weight.assign(randomTensor([5, 3, 2, 2], { seed: 7 }) as never);
    layer.state!.update(params, state as never);
    expect(await state.v.data()).not.toEqual(before);
    free(params, state);
  });

  it('convertToSigmaReparam gives a plain kernel what the layer expects', async () => {
    const { layer, params, state } = make({ patchSize: 2, gammaInit: 'spectral' }, 3, 5);
    const { weight: spec, bias: biasSpec } = layer.specs as { weight: ParamSpec; bias: ParamSpec };
    const converted = convertToSigmaReparam({ weight: params.weight, bias: params.bias }, { weight: spec, bias: biasSpec });
    expect(converted.specs).toEqual(layer.specs);
    const images = randomTensor([1, 4, 4, 3]);
    const [y, expected] = [layer.apply(images, converted.params, { state: converted.state }), layer.apply(images, params, { state })];
    await expectClose(y, expected, { rtol: 0, atol: 0 });
    free(params, state, converted.params, converted.state, images, y, expected);
  });
});

describe('sigmaReparamPatch', () => {
  it('sigmaReparamPatch(options) says what its parameters are', () => {
    expect(treeEntries(sigmaReparamPatch({ patchSize: [4, 2] })(3, 8).specs as Tree<ParamSpec>)).toEqual([
      ['weight', { shape: [8, 3, 4, 2], axes: 'dim channels height width', role: 'hidden', fanIn: 24 }],
      ['gamma', { shape: [1], axes: 'one', role: 'scalar', normOf: 'weight' }],
      ['bias', { shape: [8], axes: 'dim', role: 'bias' }],
    ]);
  });

  it('sigmaReparamPatch(options) names what it cannot have, and images that do not fit', async () => {
    expect(() => sigmaReparamPatch({ patchSize: 0 })).toThrow('sigmaReparamPatch: patchSize must be an integer ≥ 1, got 0');
    expect(() => sigmaReparamPatch({} as never)).toThrow('sigmaReparamPatch: patchSize must be a number or a pair [height, width], got undefined');
    expect(() => sigmaReparamPatch({ patchSize: [2] as never })).toThrow('sigmaReparamPatch: patchSize must be a number or a pair [height, width], got [2]');
    expect(() => sigmaReparamPatch({ patchSize: [2, 0.5] })).toThrow('sigmaReparamPatch: patchSize must be an integer ≥ 1, got 0.5');
    expect(() => sigmaReparamPatch({ patchSize: 2, gammaInit: 'two' as never })).toThrow('sigmaReparamPatch: gammaInit must be one of one, spectral, got two');
    expect(() => sigmaReparamPatch({ patchSize: 2 })(0, 4)).toThrow('sigmaReparamPatch: channels must be an integer ≥ 1, got 0');
    expect(() => sigmaReparamPatch({ patchSize: 2 })(3, 0)).toThrow('sigmaReparamPatch: dim must be an integer ≥ 1, got 0');
    const { layer, params, state } = make({ patchSize: [2, 3] }, 3, 4);
    const apply = (images: Tensor, call = { state }): Tensor => layer.apply(images, params, call as never);
    expect(() => apply(zeros([4, 6, 3]))).toThrow('sigmaReparamPatch: images must have rank 4, got shape [4, 6, 3]');
    expect(() => apply(zeros([1, 4, 6, 1]))).toThrow('sigmaReparamPatch: images must have shape [..., 3], got [1, 4, 6, 1]');
    expect(() => apply(zeros([1, 4, 6, 3], 'int32'))).toThrow('sigmaReparamPatch: images must have dtype float32, got int32');
    expect(() => apply(zeros([1, 5, 6, 3]))).toThrow('sigmaReparamPatch: the height of the images must be divisible by that of a patch, got 5 and 2');
    expect(() => apply(zeros([1, 4, 7, 3]))).toThrow('sigmaReparamPatch: the width of the images must be divisible by that of a patch, got 7 and 3');
    await expectNoLeak(() => apply(state.u), { throws: 'must have rank 4' });
    expect(() => apply(zeros([1, 4, 6, 3]), {} as never)).toThrow('sigmaReparamPatch: options.state must have the vectors u and v, got no state.');
  });
});
