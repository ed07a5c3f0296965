import { treeEntries, valueAndGrad, type ParamSpec, type Tree } from '@evenkeel/core-tensor';
import { gatedMlpLayer, linearLayer } from '@evenkeel/layers';
import { checkOpGrad, expectClose, expectNoLeak, forEachBackend, linear64, randomTensor, silu64 } from '@evenkeel/testing';
import { dispose, sum, type Tensor } from '@tensorflow/tfjs-core';
import { describe, expect, it } from 'vitest';

type Params<T> = { gate: { weight: T }; up: { weight: T }; down: { weight: T } };

const nested = <T>({ gate, up, down }: Record<'gate' | 'up' | 'down', T>): Params<T> => ({ gate: { weight: gate }, up: { weight: up }, down: { weight: down } });

/** down(silu(gate(x)) · up(x)) in float64. */
const mlp64 = ({ x, gate, up, down }: Record<'x' | 'gate' | 'up' | 'down', ArrayLike<number>>, dim: number, hiddenDim: number): Float64Array => {
  const value = linear64(x, up, undefined, dim);
  return linear64(silu64(linear64(x, gate, undefined, dim)).map((each, i) => each * value[i]!), down, undefined, hiddenDim);
};

forEachBackend(() => {
  it('gatedMlpLayer() agrees with the float64 oracle, gradients included', async () => {
    const layer = gatedMlpLayer({ hiddenDim: 7 })(3, linearLayer({ bias: false }));
    const inputs = {
      x: randomTensor([2, 5, 3], { seed: 5 }) as Tensor, gate: randomTensor([7, 3]) as Tensor, up: randomTensor([7, 3], { seed: 2 }) as Tensor, down: randomTensor([3, 7], { seed: 3 }) as Tensor,
    };
    await checkOpGrad<keyof typeof inputs>({ op: (p) => layer.apply(p.x, nested(p)), oracle64: (p) => mlp64(p, 3, 7), inputs });
    const y = layer.apply(inputs.x, nested(inputs));
    expect(y.shape).toEqual([2, 5, 3]);
    const values = Object.fromEntries(await Promise.all(Object.entries(inputs).map(async ([name, each]) => [name, await each.data()] as const))) as unknown as Record<keyof typeof inputs, ArrayLike<number>>;
    await expectClose(y, mlp64(values, 3, 7), { rtol: 1e-5, atol: 1e-5 });
    dispose([inputs, y]);
  });

  it('gatedMlpLayer() adds one tensor and frees the rest, also in gradients and on error', async () => {
    const layer = gatedMlpLayer({ hiddenDim: 4 })(3, linearLayer({ bias: false }));
    const [x, params] = [randomTensor([2, 3]), nested({ gate: randomTensor([4, 3]) as Tensor, up: randomTensor([4, 3]) as Tensor, down: randomTensor([3, 4]) as Tensor })];
    await expectNoLeak(() => layer.apply(x, params));
    await expectNoLeak(() => valueAndGrad((p: Params<Tensor>) => sum(layer.apply(x, p)), params));
    await expectNoLeak(() => layer.apply(x, { ...params, up: params.down }), { throws: 'linear: x must have shape [..., 4], got [2, 3]' });
    dispose([x, params]);
  });
});

describe('gatedMlpLayer', () => {
  it('gatedMlpLayer() is 8/3 · dim wide in a multiple of 64; its down projection alone writes to the residual stream', () => {
    const places: unknown[] = [];
    const linear = linearLayer({ bias: false });
    const layer = gatedMlpLayer()(96, (inDim, outDim, place) => { places.push([inDim, outDim, place]); return linear(inDim, outDim, place); }, { block: 1, residualDepth: 6 });
    const inside = { block: 1, inAxis: 'dim', outAxis: 'hidden' };
    expect(places).toEqual([[96, 256, inside], [96, 256, inside], [256, 96, { block: 1, inAxis: 'hidden', outAxis: 'dim', residualDepth: 6 }]]);
    expect(treeEntries(layer.specs as Tree<ParamSpec>).map(([path, { shape }]) => [path, shape])).toEqual([
      ['gate.weight', [256, 96]], ['up.weight', [256, 96]], ['down.weight', [96, 256]],
    ]);
    expect(treeEntries(gatedMlpLayer()(100, linear).specs as Tree<ParamSpec>)[0]![1].shape).toEqual([320, 100]);
  });

  it('gatedMlpLayer({ activation }) and gatedMlpLayer({ hiddenDim }) say what they may be', () => {
    expect(() => gatedMlpLayer({ activation: 'tanh' as never })).toThrow('gatedMlpLayer: activation must be one of sigmoid, relu, gelu, geluTanh, silu, got tanh');
    expect(() => gatedMlpLayer({ hiddenDim: 0 })).toThrow('gatedMlpLayer: hiddenDim must be an integer ≥ 1, got 0');
  });
});
