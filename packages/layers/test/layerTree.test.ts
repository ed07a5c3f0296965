import { initParams, treePaths, type Tree } from '@evenkeel/core-tensor';
import { initialiserOfLayers, linearLayer, specsOfLayers } from '@evenkeel/layers';
import { expectClose } from '@evenkeel/testing';
import { dispose, fill, type Tensor } from '@tensorflow/tfjs-core';
import { describe, expect, it } from 'vitest';

const constant = (value: number) => linearLayer({ bias: false, initialiser: ({ shape }) => fill([...shape], value) })(1, 1);
const layers = { first: constant(1), inner: { second: constant(2), deeper: { third: constant(3) } } };

describe('layerTree', () => {
  it('specsOfLayers(layers) puts the specs of each layer under its name', () => {
    expect(treePaths(specsOfLayers(layers))).toEqual(['first.weight', 'inner.second.weight', 'inner.deeper.third.weight']);
  });

  it('initialiserOfLayers(layers) asks the layer that owns the path', async () => {
    const params = initParams(specsOfLayers(layers), 0, initialiserOfLayers(layers)) as Tree<Tensor> as {
      first: { weight: Tensor }; inner: { second: { weight: Tensor }; deeper: { third: { weight: Tensor } } };
    };
    await expectClose(params.first.weight, [[1]]);
    await expectClose(params.inner.second.weight, [[2]]);
    await expectClose(params.inner.deeper.third.weight, [[3]]);
    dispose(params);
  });

  it('initialiserOfLayers(layers) names a path that no layer owns', () => {
    const spec = { shape: [1], axes: 'dim', role: 'norm' } as const;
    expect(() => initialiserOfLayers(layers)(spec, 'third.weight')).toThrow('initialiserOfLayers: path must begin with one of first, inner, got third.weight');
    expect(() => initialiserOfLayers(layers)(spec, 'toString')).toThrow('got toString');
  });
});
