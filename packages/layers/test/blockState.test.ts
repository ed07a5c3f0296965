/** Untrained values of layers inside a block: each layer has its own, wherever it stands. */
import {
  initParams, stateVariable, treeEntries, treePaths, type Layer, type LayerState, type LinearFactory, type NormFactory, type Tree,
} from '@evenkeel/core-tensor';
import { flashAttention } from '@evenkeel/flash-attention';
import { gatedMlpLayer, linearLayer, mlpLayer, specsOfLayers, stateOfLayers, transformerBlock, type TransformerBlock } from '@evenkeel/layers';
import { rmsNormLayer } from '@evenkeel/norms';
import { expectClose, expectNoLeak, forEachBackend, randomTensor } from '@evenkeel/testing';
import { add, dispose, mul, slice, squeeze, tidy, type Tensor, type Variable } from '@tensorflow/tfjs-core';
import { describe, expect, it } from 'vitest';

type Shift = { shift: Tensor };

/** What a layer gives, moved by a state: the first values of its bias-like vector, which doubles with each update. */
const withShift = (layer: Layer, firstOf: (params: Tree<Tensor>) => Tensor): Layer => ({
  specs: layer.specs,
  initialiserOf: layer.initialiserOf,
  state: {
    init: (params) => ({ shift: stateVariable(() => firstOf(params)) }),
    update: (_, state) => tidy(() => { const { shift } = state as { shift: Variable }; shift.assign(mul(shift, 2)); }),
  },
  apply: (x, params, options = {}) => tidy(() => add(layer.apply(x, params, options), (options.state as Shift).shift)),
});
const firstColumn = (params: Tree<Tensor>): Tensor => tidy(() => squeeze(slice((params as { weight: Tensor }).weight, [0, 0], [-1, 1]), [1]));
const gain = (params: Tree<Tensor>): Tensor => mul((params as { weight: Tensor }).weight, 1);

const shiftedLinear: LinearFactory = (inDim, outDim, place) => withShift(linearLayer({ bias: false })(inDim, outDim, place), firstColumn);
const shiftedNorm: NormFactory = (dim, place) => withShift(rmsNormLayer()(dim, place), gain);
/** The same with the shift of the first values as a bias. */
const biasedLinear: LinearFactory = linearLayer();

const config = { dim: 8, numHeads: 2, numKvHeads: 1, causal: true, block: 0, depth: 2, attention: flashAttention } as const;
const STATEFUL = ['attn.qkv', 'attn.proj', 'mlp.up', 'mlp.down'];

/** Parameters of the block with biases, from those without and their state. */
function biased(block: TransformerBlock, params: Tree<Tensor>, state: Tree<Tensor>): Tree<Tensor> {
  const all = new Map([...treeEntries(params), ...treeEntries(state).map(([path, value]) => [path.replace(/shift$/, 'bias'), value] as const)]);
  const build = (specs: Tree<unknown>, path: string[]): Tree<Tensor> => ('axes' in (specs as object)
    ? all.get(path.join('.'))!
    : Object.fromEntries(Object.entries(specs as Record<string, Tree<unknown>>).map(([name, inner]) => [name, build(inner, [...path, name])])));
  return build(block.specs as Tree<unknown>, []);
}

forEachBackend(() => {
  it('transformerBlock hands each layer its own state, in apply and applyCached', async () => {
    const [block, plain] = [transformerBlock({ ...config, norm: rmsNormLayer(), linear: shiftedLinear }), transformerBlock({ ...config, norm: rmsNormLayer(), linear: biasedLinear })];
    const params = initParams(block.specs, 1, block.initialiserOf);
    const state = block.state!.init(params);
    expect(treePaths(state)).toEqual(STATEFUL.map((path) => `${path}.shift`));
    const x = randomTensor([2, 5, 8]) as Tensor;
    for (let update = 0; update < 2; update++) {
      const [y, expected] = [block.apply(x, params, { state }), plain.apply(x, biased(plain, params, state))];
      await expectClose(y, expected, { rtol: 1e-5, atol: 1e-6 });
      const cached = block.applyCached(x, params, null, { state });
      await expectClose(cached.y, expected, { rtol: 1e-5, atol: 1e-6 });
      dispose([y, expected, cached as never]);
      block.state!.update(params, state);
    }
    const { weight } = (params as unknown as { mlp: { down: { weight: Tensor } } }).mlp.down;
    const twiceDoubled = tidy(() => mul(firstColumn({ weight }), 4));
    await expectClose((state as unknown as { mlp: { down: { shift: Tensor } } }).mlp.down.shift, twiceDoubled, { rtol: 1e-6 });
    dispose([x, twiceDoubled, params as never, state as never]);
  });

  it('transformerBlock hands norms of the stream and of heads their state too', async () => {
    const block = transformerBlock({ ...config, norm: shiftedNorm, qkNorm: shiftedNorm, linear: linearLayer({ bias: false }), placement: 'peri' });
    const params = initParams(block.specs, 1, block.initialiserOf);
    const state = block.state!.init(params);
    expect(treePaths(state)).toEqual(['norm1.shift', 'norm1Out.shift', 'attn.qNorm.shift', 'attn.kNorm.shift', 'norm2.shift', 'norm2Out.shift']);
    const shapes = treeEntries(state).map(([, { shape }]) => shape);
    expect(shapes).toEqual([[8], [8], [4], [4], [8], [8]]);
    const x = randomTensor([1, 3, 8]) as Tensor;
    await expectNoLeak(() => block.apply(x, params, { state }));
    dispose([x, params as never, state as never]);
  });

  it.each([['mlpLayer', mlpLayer()], ['gatedMlpLayer', gatedMlpLayer({ hiddenDim: 5 })]] as const)('%s hands its linears their state', async (_, factory) => {
    const [layer, plain] = [factory(4, shiftedLinear), factory(4, biasedLinear)];
    const params = initParams(layer.specs, 1, layer.initialiserOf);
    const state = layer.state!.init(params);
    const x = randomTensor([3, 4]) as Tensor;
    const [y, expected] = [layer.apply(x, params, { state }), plain.apply(x, biased(plain as TransformerBlock, params, state))];
    await expectClose(y, expected, { rtol: 1e-5, atol: 1e-6 });
    dispose([x, y, expected, params as never, state as never]);
  });
});

describe('stateOfLayers', () => {
  const layers = { plain: linearLayer()(2, 2), inner: { norm: shiftedNorm(3), plain: rmsNormLayer()(2) } };

  it('stateOfLayers(layers) has the states of those layers that have one, under their names', () => {
    const { state } = stateOfLayers(layers) as { state: LayerState };
    const params = initParams(specsOfLayers(layers), 1, () => ({ shape }) => randomTensor([...shape] as [number]));
    const values = state.init(params);
    expect(treePaths(values)).toEqual(['inner.norm.shift']);
    dispose([params as never, values as never]);
  });

  it('stateOfLayers(layers) is empty where no layer has a state, and so has a block none', () => {
    expect(stateOfLayers({ a: linearLayer()(2, 2), b: {} })).toEqual({});
    expect('state' in transformerBlock({ ...config, norm: rmsNormLayer() })).toBe(false);
  });
});
