import { initParams, treeEntries, valueAndGrad, type ParamSpec, type Tree } from '@evenkeel/core-tensor';
import { linearLayer, mlpLayer, type Activation } from '@evenkeel/layers';
import { checkOpGrad, expectClose, expectNoLeak, forEachBackend, gelu64, linear64, randomTensor, silu64 } from '@evenkeel/testing';
import { dispose, sum, type Tensor } from '@tensorflow/tfjs-core';
import { describe, expect, it } from 'vitest';

type Params<T> = { up: { weight: T; bias: T }; down: { weight: T; bias: T } };

const ACTIVATIONS: Record<Activation, (x: ArrayLike<number>) => Float64Array> = {
  gelu: (x) => gelu64(x, 'none'), geluTanh: (x) => gelu64(x, 'tanh'), silu: silu64,
};

/** down(activation(up(x))) in float64. */
const mlp64 = (x: ArrayLike<number>, { up, down }: Params<ArrayLike<number>>, activation: Activation, dim: number, hiddenDim: number): Float64Array =>
  linear64(ACTIVATIONS[activation](linear64(x, up.weight, up.bias, dim)), down.weight, down.bias, hiddenDim);

/** Parameters far enough from 0 that every part of the layer shows. */
const makeParams = (dim: number, hiddenDim: number): Params<Tensor> => ({
  up: { weight: randomTensor([hiddenDim, dim], { seed: 1 }), bias: randomTensor([hiddenDim], { seed: 2 }) },
  down: { weight: randomTensor([dim, hiddenDim], { seed: 3 }), bias: randomTensor([dim], { seed: 4 }) },
});

forEachBackend(() => {
  it.each(Object.keys(ACTIVATIONS) as Activation[])('mlpLayer({ activation: %s }) agrees with the float64 oracle, gradients included', async (activation) => {
    const layer = mlpLayer({ activation, hiddenDim: 7 })(3, linearLayer());
    const [x, params] = [randomTensor([2, 5, 3], { seed: 5 }) as Tensor, makeParams(3, 7)];
    const flat = { x, upWeight: params.up.weight, upBias: params.up.bias, downWeight: params.down.weight, downBias: params.down.bias };
    const nested = <T>(p: Record<keyof typeof flat, T>): Params<T> => ({ up: { weight: p.upWeight, bias: p.upBias }, down: { weight: p.downWeight, bias: p.downBias } });
    await checkOpGrad<keyof typeof flat>({
      op: (p) => layer.apply(p.x, nested(p)), oracle64: (p) => mlp64(p.x, nested(p), activation, 3, 7), inputs: flat,
    });
    const y = layer.apply(x, params);
    expect(y.shape).toEqual([2, 5, 3]);
    const values = Object.fromEntries(await Promise.all(Object.entries(flat).map(async ([name, leaf]) => [name, await leaf.data()] as const))) as unknown as Record<keyof typeof flat, ArrayLike<number>>;
    await expectClose(y, mlp64(values.x, nested(values), activation, 3, 7), { rtol: 1e-5, atol: 1e-5 });
    dispose([x, params, y]);
  });

  it('mlpLayer() adds one tensor and frees the rest, also in gradients', async () => {
    const layer = mlpLayer()(3, linearLayer());
    const [x, params] = [randomTensor([2, 3]), makeParams(3, 12)];
    await expectNoLeak(() => layer.apply(x, params));
    await expectNoLeak(() => valueAndGrad((p: Params<Tensor>) => sum(layer.apply(x, p)), params));
    await expectNoLeak(() => layer.apply(params.up.weight, { up: params.down, down: params.up }), { throws: 'linear: x must have shape [..., 12], got [12, 3]' });
    dispose([x, params]);
  });
});

describe('mlpLayer', () => {
  it('mlpLayer() is 4 · dim wide; its down projection alone writes to the residual stream', () => {
    const places: unknown[] = [];
    const linear = linearLayer();
    const layer = mlpLayer()(8, (inDim, outDim, place) => { places.push([inDim, outDim, place]); return linear(inDim, outDim, place); }, { block: 1, residualDepth: 6 });
    expect(places).toEqual([[8, 32, { block: 1, inAxis: 'dim', outAxis: 'hidden' }], [32, 8, { block: 1, inAxis: 'hidden', outAxis: 'dim', residualDepth: 6 }]]);
    expect(treeEntries(layer.specs as Tree<ParamSpec>).map(([path, { shape }]) => [path, shape])).toEqual([
      ['up.weight', [32, 8]], ['up.bias', [32]], ['down.weight', [8, 32]], ['down.bias', [8]],
    ]);
  });

  it('mlpLayer() starts each projection as its linear layer says', async () => {
    const layer = mlpLayer({ hiddenDim: 100 })(100, linearLayer(), { residualDepth: 8 });
    const params = initParams(layer.specs, 1, layer.initialiserOf) as Tree<Tensor> as Params<Tensor>;
    const stdOf = async (x: Tensor) => Math.sqrt((await x.data() as Float32Array).reduce((total, value) => total + value ** 2, 0) / x.size);
    expect(await stdOf(params.up.weight)).toBeCloseTo(0.02, 3);
    expect(await stdOf(params.down.weight)).toBeCloseTo(0.005, 4);
    expect(await stdOf(params.down.bias)).toBe(0);
    dispose(params);
  });

  it('mlpLayer({ activation }) and mlpLayer({ hiddenDim }) say what they may be', () => {
    expect(() => mlpLayer({ activation: 'relu' as never })).toThrow('mlpLayer: activation must be one of gelu, geluTanh, silu, got relu');
    expect(() => mlpLayer({ hiddenDim: 0 })).toThrow('mlpLayer: hiddenDim must be an integer ≥ 1, got 0');
  });
});
