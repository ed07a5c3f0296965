import { initParams, treeEntries, treeMap, treePaths, type Params, type ParamSpec, type Tree } from '@evenkeel/core-tensor';
import { gpt, type GptParams, type GptSizes } from '@evenkeel/models-gpt';
import { linearLayer } from '@evenkeel/layers';
import { convertToSigmaReparam, foldSigmaReparam, sigmaReparam } from '@evenkeel/sigma-reparam';
import { expectClose, expectNoLeak, forEachBackend, randomTensor } from '@evenkeel/testing';
import { dispose, tensor2d, zeros, type Tensor, type Tensor2D, type Variable } from '@tensorflow/tfjs-core';
import { describe, expect, it } from 'vitest';

const sizes: GptSizes = { vocabSize: 13, contextLength: 9, depth: 2, dim: 12, numHeads: 3, tiedHead: false };
const plain = gpt(sizes);
const ours = gpt({ ...sizes, linear: sigmaReparam(), head: sigmaReparam({ bias: false }) });
const tokens = (): Tensor2D => tensor2d([[1, 5, 2, 0, 12], [3, 3, 4, 1, 1]], [2, 5], 'int32');
const shapesOf = (tree: Tree<Tensor>): unknown => treeMap((x: Tensor) => x.shape, tree);
const free = (...things: unknown[]): void => dispose(things as never);

/** A node or a leaf by its path. */
const at = (tree: unknown, path: string): unknown => path.split('.').reduce((node, key) => (node as Record<string, unknown>)[key], tree);

/** A copy of a tree with another value at a path; undefined takes it out. */
function withLeaf<T>(tree: Tree<T>, path: string, leaf: T | undefined): Tree<T> {
  const [name = '', ...rest] = path.split('.');
  const node = (Array.isArray(tree) ? [...tree] : { ...(tree as object) }) as Record<string, unknown>;
  if (rest.length > 0) node[name] = withLeaf(node[name] as Tree<T>, rest.join('.'), leaf);
  else if (leaf === undefined) delete node[name];
  else node[name] = leaf;
  return node as Tree<T>;
}

forEachBackend(() => {
  describe('convertToSigmaReparam', () => {
    it('gives exactly the trees that a model with sigmaReparam has: parameters, state and specs, in the same order', () => {
      const [params, expected] = [plain.init({ seed: 1 }), ours.init({ seed: 1 })];
      const expectedState = ours.state.init(expected);
      const converted = convertToSigmaReparam(params, plain.specs);
      expect(treePaths(converted.params)).toEqual(treePaths(expected as Params));
      expect(shapesOf(converted.params)).toEqual(shapesOf(expected as Params));
      expect(treeEntries(converted.specs)).toEqual(treeEntries(ours.specs));
      expect(treePaths(converted.state)).toEqual(treePaths(expectedState));
      expect(shapesOf(converted.state)).toEqual(shapesOf(expectedState));
      expect(treeEntries<Variable>(converted.state).some(([, { trainable }]) => trainable)).toBe(false);
      expect(treeEntries<Variable>(converted.params).every(([, { trainable }]) => trainable)).toBe(true);
      free(params, expected, expectedState, converted.params, converted.state);
    });

    it('with gamma at the spectral norm the model stays the function that it was; with gamma at 1 it does not', async () => {
      const params = plain.init({ seed: 4 });
      const inputs = tokens();
      const expected = plain.apply(inputs, params);
      for (const [options, isSame] of [[{}, true], [{ gammaInit: 'spectral', initIterations: 1 }, true], [{ gammaInit: 'one' }, false]] as const) {
        const { params: reparametrised, state } = convertToSigmaReparam(params, plain.specs, options);
        const y = ours.apply(inputs, reparametrised as Params & GptParams, { state });
        if (isSame) await expectClose(y, expected, { rtol: 1e-5, atol: 1e-5 });
        else expect(Math.abs((await y.data())[0]! - (await expected.data())[0]!)).toBeGreaterThan(1e-3);
        free(reparametrised, state, y);
      }
      free(params, inputs, expected);
    });

    it('is what gammaInit spectral starts from: the same gamma and vectors, bit for bit', async () => {
      const model = gpt({ ...sizes, linear: sigmaReparam({ gammaInit: 'spectral' }), head: sigmaReparam({ gammaInit: 'spectral', bias: false }) });
      const [params, expected] = [plain.init({ seed: 5 }), model.init({ seed: 5 })];
      const expectedState = model.state.init(expected);
      const converted = convertToSigmaReparam(params, plain.specs);
      for (const [path, x] of treeEntries<Tensor>(converted.params)) await expectClose(x, at(expected, path) as Tensor, { rtol: 0, atol: 0 });
      for (const [path, x] of treeEntries<Tensor>(converted.state)) await expectClose(x, at(expectedState, path) as Tensor, { rtol: 0, atol: 0 });
      free(params, expected, expectedState, converted.params, converted.state);
    });

    it('shares nothing with what it was given, and frees the rest', async () => {
      const layer = linearLayer()(3, 4);
      const params = initParams(layer.specs, 1, layer.initialiserOf) as unknown as { weight: Variable; bias: Variable };
      const before = await params.weight.data();
      const converted = convertToSigmaReparam(params, layer.specs);
      (converted.params as unknown as typeof params).weight.assign(zeros([4, 3]));
      expect(await params.weight.data()).toEqual(before);
      await expectNoLeak(() => convertToSigmaReparam(params, layer.specs));
      await expectNoLeak(() => convertToSigmaReparam(params, layer.specs, { gammaInit: 'one' }));
      await expectNoLeak(() => convertToSigmaReparam({ weight: params.weight }, layer.specs), { throws: 'params must have bias' });
      free(params, converted.params, converted.state);
    });
  });

  describe('foldSigmaReparam', () => {
    it('gives the plain model parameters for identical outputs, bit for bit, and evaluation leaves the state alone', async () => {
      const params = ours.init({ seed: 6 });
      const state = ours.state.init(params);
      const before = await Promise.all(treeEntries<Tensor>(state).map(([, x]) => x.data()));
      const inputs = tokens();
      const expected = ours.apply(inputs, params, { state });
      const folded = foldSigmaReparam(params, state);
      const y = plain.apply(inputs, folded as Params & GptParams);
      await expectClose(y, expected, { rtol: 0, atol: 0 });
      expect(treePaths(folded)).toEqual(treePaths(plain.specs));
      expect(await Promise.all(treeEntries<Tensor>(state).map(([, x]) => x.data()))).toEqual(before);
      free(params, state, inputs, expected, folded, y);
    });

    it('undoes convertToSigmaReparam', async () => {
      const params = plain.init({ seed: 7 });
      const converted = convertToSigmaReparam(params, plain.specs);
      const folded = foldSigmaReparam(converted.params, converted.state);
      for (const [path, x] of treeEntries<Tensor>(folded)) await expectClose(x, at(params, path) as Tensor, { rtol: 1e-6, atol: 1e-8 });
      free(params, converted.params, converted.state, folded);
    });

    it('shares nothing with what it was given, and frees the rest, also on error', async () => {
      const layer = sigmaReparam()(3, 4);
      const params = initParams(layer.specs, 1, layer.initialiserOf) as unknown as { weight: Variable; gamma: Variable; bias: Variable };
      const state = layer.state!.init(params) as unknown as { u: Variable; v: Variable };
      const folded = foldSigmaReparam(params, state) as unknown as { bias: Variable };
      folded.bias.assign(randomTensor([4]) as never);
      expect(Array.from(await params.bias.data())).toEqual([0, 0, 0, 0]);
      await expectNoLeak(() => foldSigmaReparam(params, state));
      await expectNoLeak(() => foldSigmaReparam(params, { u: state.u }), { throws: 'foldSigmaReparam: state must have v, whose gamma is in params, got none' });
      await expectNoLeak(() => foldSigmaReparam(params, { u: state.v, v: state.v }), { throws: 'foldSigmaReparam: u must have shape [4], got [3]' });
      const [pair, whole] = [zeros([2]), zeros([1], 'int32')];
      const withGamma = (gamma: Tensor) => () => foldSigmaReparam({ other: params.bias, layer: { ...params, gamma } }, { layer: state });
      await expectNoLeak(withGamma(pair), { throws: 'foldSigmaReparam: layer.gamma must have shape [1], got [2]' });
      await expectNoLeak(withGamma(whole), { throws: 'foldSigmaReparam: layer.gamma must have dtype float32, got int32' });
      await expectNoLeak(() => foldSigmaReparam({ a: { weight: params.weight } }, { a: state }), { throws: 'foldSigmaReparam: params must have a gamma for a.u of state, got none' });
      free(params, state, folded, pair, whole);
    });
  });
});

describe('convertToSigmaReparam', () => {
  const converting = (params: Tree<Tensor>, specs: Tree<ParamSpec>, options = {}) => () => convertToSigmaReparam(params, specs, options);
  const path = 'blocks.1.mlp.up.weight';
  const spec = at(plain.specs, path) as ParamSpec;

  it('names the first parameter that does not fit its spec, or has none', () => {
    const params = plain.init({ seed: 1 }) as Params;
    const { specs } = plain;
    expect(converting(withLeaf(params, path, undefined), specs)).toThrow(`convertToSigmaReparam: params must have ${path}, as specs say, got none`);
    expect(converting(params, withLeaf(specs, 'blocks.0.mlp.up.bias', undefined))).toThrow('convertToSigmaReparam: specs must have blocks.0.mlp.up.bias, as params do, got none');
    expect(converting(params, withLeaf(specs, path, { ...spec, shape: [48, 13] }))).toThrow(`convertToSigmaReparam: ${path} must have shape [48, 13], got [48, 12]`);
    expect(converting(withLeaf<Tensor>(params, path, zeros([48, 12], 'int32')), specs)).toThrow(`convertToSigmaReparam: ${path} must have dtype float32, got int32`);
    free(params);
  });

  it('names the first parameter that cannot get a gamma', () => {
    const params = ours.init({ seed: 1 }) as Params;
    expect(converting(params, ours.specs)).toThrow('convertToSigmaReparam: blocks.0.attn.qkv.weight must stand alone or with a bias to get a gamma, got blocks.0.attn.qkv.gamma beside it');
    const before = plain.init({ seed: 1 }) as Params;
    expect(converting(before, plain.specs, { select: ({ role }: ParamSpec) => role === 'norm' })).toThrow('convertToSigmaReparam: blocks.0.norm1.weight must have two axes or more to get a gamma, got shape [12]');
    const lone = { kernel: zeros([2, 3]) };
    expect(converting(lone, { kernel: { shape: [2, 3], axes: 'out in', role: 'hidden' } })).toThrow('convertToSigmaReparam: kernel must be named weight to get a gamma beside it, got another name');
    expect(converting(lone, { kernel: { shape: [2, 3], axes: 'position dim', role: 'embedding' } })).toThrow('convertToSigmaReparam: specs must have a weight to convert, got none that was selected');
    expect(converting(before, plain.specs, { gammaInit: 'two' })).toThrow('convertToSigmaReparam: gammaInit must be one of one, spectral, got two');
    expect(converting(before, plain.specs, { initIterations: 0 })).toThrow('convertToSigmaReparam: initIterations must be an integer ≥ 1, got 0');
    free(params, before);
  });

  it('select chooses the parameters: a model that is reparametrised in part, or with a tied head', () => {
    const params = plain.init({ seed: 1 }) as Params;
    const converted = convertToSigmaReparam(params, plain.specs, { select: (_, name) => name.includes('attn.qkv.weight') });
    expect(treePaths(converted.state)).toEqual([0, 1].flatMap((block) => [`blocks.${block}.attn.qkv.u`, `blocks.${block}.attn.qkv.v`]));
    expect(treePaths(converted.params).filter((each) => each.endsWith('gamma'))).toEqual(['blocks.0.attn.qkv.gamma', 'blocks.1.attn.qkv.gamma']);
    const tied = gpt({ ...sizes, tiedHead: true });
    const tiedParams = tied.init({ seed: 1 });
    const tiedConverted = convertToSigmaReparam(tiedParams, tied.specs);
    expect(treePaths(tiedConverted.params)).toEqual(treePaths(gpt({ ...sizes, tiedHead: true, linear: sigmaReparam() }).specs));
    free(params, converted.params, converted.state, tiedParams, tiedConverted.params, tiedConverted.state);
  });
});
