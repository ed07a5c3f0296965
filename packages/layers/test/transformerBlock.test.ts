import { rematerialise, treeEntries, valueAndGrad, type AttentionFn, type NormFactory, type ParamSpec, type Tree } from '@evenkeel/core-tensor';
import { flashAttention, flashAttentionPacked } from '@evenkeel/flash-attention';
import { layerNormLayer, rmsNormLayer } from '@evenkeel/norms';
import { linearLayer, transformerBlock, type KvCache, type TransformerBlock } from '@evenkeel/layers';
import { checkOpGrad, expectClose, expectNoLeak, forEachBackend, randomArray, randomTensor } from '@evenkeel/testing';
import { concat, dispose, slice, square, sum, tensor, type Tensor } from '@tensorflow/tfjs-core';
import { describe, expect, it } from 'vitest';
import { block64, initialised, makeBlock, makeParams, nest, slowAttention, type BlockSizes } from './blockOracle.ts';

type ValueAndGrads = { value: Tensor; grads: Record<string, Tensor> };

const base: BlockSizes = { dim: 8, numHeads: 2, numKvHeads: 2, causal: true, placed: 'pre' };

const CASES: (Partial<BlockSizes> & { title: string })[] = [
  { title: 'pre-norm, causal' },
  { title: 'post-norm, causal', placed: 'post' },
  { title: 'pre-norm, full', causal: false },
  { title: 'one key head for two query heads', numKvHeads: 1 },
  { title: 'one head of width 6', dim: 6, numHeads: 1, numKvHeads: 1 },
];

const sizesOf = ({ title: _, ...sizes }: (typeof CASES)[number]): BlockSizes => ({ ...base, ...sizes });

const readAll = async (tensors: Record<string, Tensor>) =>
  Object.fromEntries(await Promise.all(Object.entries(tensors).map(async ([name, leaf]) => [name, await leaf.data()] as const)));

forEachBackend((backend) => {
  it.each(CASES)('transformerBlock(config).apply agrees with the float64 oracle: $title', async (each) => {
    const sizes = sizesOf(each);
    const block = makeBlock(sizes);
    const flat = makeParams(block);
    for (const [batchSize, seqLen] of [[1, 1], [3, 3], [1, 13]] as const) {
      const x = randomTensor([batchSize, seqLen, sizes.dim], { seed: 99 });
      const y = block.apply(x, nest(block, flat));
      expect(y.shape).toEqual(x.shape);
      await expectClose(y, block64(await x.data(), await readAll(flat), seqLen, sizes), { rtol: 1e-4, atol: 5e-5 });
      dispose([x, y]);
    }
    dispose(flat);
  });

  it.each(CASES.slice(0, 4))('the gradients of transformerBlock match finite differences in x and every parameter: $title', async (each) => {
    const sizes = sizesOf(each);
    const block = makeBlock(sizes);
    const inputs = { x: randomTensor([2, 3, sizes.dim], { seed: 99 }) as Tensor, ...makeParams(block) };
    await checkOpGrad<string>({
      op: ({ x, ...flat }) => block.apply(x as Tensor, nest(block, flat)),
      oracle64: ({ x, ...flat }) => block64(x as Float64Array, flat, 3, sizes),
      inputs, directions: 2, rtol: 5e-4,
    });
    dispose(inputs);
  });

  it.each(CASES.filter(({ causal = true }) => causal))('transformerBlock(config).applyCached gives in pieces what apply gives at once: $title', async (each) => {
    const sizes = sizesOf(each);
    const block = makeBlock(sizes);
    const flat = makeParams(block);
    const params = nest(block, flat);
    const x = randomTensor([2, 9, sizes.dim], { seed: 99 });
    const whole = block.apply(x, params);
    const pieces: Tensor[] = [];
    let cache: KvCache | null = null;
    for (const [start, length] of [[0, 4], [4, 1], [5, 1], [6, 3]] as const) {
      const piece = slice(x, [0, start, 0], [2, length, sizes.dim]);
      const next: { y: Tensor; cache: KvCache } = block.applyCached(piece, params, cache);
      dispose([piece, cache as never]);
      cache = next.cache;
      pieces.push(next.y);
    }
    expect(cache?.k.shape).toEqual([2, 9, sizes.numKvHeads, sizes.dim / sizes.numHeads]);
    const joined = concat(pieces, 1);
    await expectClose(joined, whole, { rtol: 1e-4, atol: 1e-5 });
    dispose([x, whole, joined, pieces, flat, cache as never]);
  });

  it('transformerBlock(config).apply does not see the future', async () => {
    const block = makeBlock(base);
    const flat = makeParams(block);
    const values = randomArray(7 * 8, { seed: 3 });
    const changed = values.map((value, i) => (i < 4 * 8 ? value : value + 5));
    const [y, z] = [values, changed].map((each) => {
      const x = tensor(each, [1, 7, 8]);
      const out = block.apply(x, nest(block, flat));
      dispose(x);
      return out;
    }) as [Tensor, Tensor];
    const [before, after] = [slice(y, [0, 0, 0], [1, 4, 8]), slice(z, [0, 0, 0], [1, 4, 8])];
    await expectClose(after, before, { rtol: 0, atol: 0 });
    dispose([y, z, before, after, flat]);
  });

  it('transformerBlock({ dropout }) repeats itself with one seed, differs with another, and rests in evaluation', async () => {
    const [block, plain] = [makeBlock(base, { dropout: 0.5 }), makeBlock(base)];
    const flat = makeParams(block);
    const params = nest(block, flat);
    const x = randomTensor([1, 5, 8]);
    const [a, b, c] = [1, 1, 2].map((seed) => block.apply(x, params, { train: true, seed })) as [Tensor, Tensor, Tensor];
    const [evaluated, expected] = [block.apply(x, params), plain.apply(x, params)];
    await expectClose(b, a, { rtol: 0, atol: 0 });
    expect(Array.from(await c.data())).not.toEqual(Array.from(await a.data()));
    expect(Array.from(await a.data())).not.toEqual(Array.from(await expected.data()));
    await expectClose(evaluated, expected, { rtol: 0, atol: 0 });
    expect(() => block.apply(x, params, { train: true })).toThrow('dropout: seed must be given when train is true, got undefined');
    dispose([x, a, b, c, evaluated, expected, flat]);
  });

  it('rematerialise(transformerBlock) with dropout gives the same loss and gradients', async () => {
    const block = makeBlock(base, { dropout: 0.2 });
    const flat = makeParams(block);
    const x = randomTensor([2, 5, 8]) as Tensor;
    const apply = (z: Tensor, p: Record<string, Tensor>) => block.apply(z, nest(block, p), { train: true, seed: 4 });
    const plain = valueAndGrad((p: Record<string, Tensor>) => sum(apply(x, p)), flat);
    const again = valueAndGrad((p: Record<string, Tensor>) => sum(rematerialise(apply)(x, p)), flat);
    await expectClose(again.value, plain.value, { rtol: 0, atol: 0 });
    for (const [path, gradient] of Object.entries(plain.grads as Record<string, Tensor>)) {
      await expectClose((again.grads as Record<string, Tensor>)[path]!, gradient, { rtol: 1e-5, atol: 1e-6 });
    }
    dispose([x, flat, plain.value, plain.grads as never, again.value, again.grads as never]);
  });

  it('transformerBlock(config) adds exactly its results and frees the rest, also on error and in gradients', async () => {
    const block = makeBlock(base, { dropout: 0.1 });
    const flat = makeParams(block);
    const params = nest(block, flat);
    const [x, wrong] = [randomTensor([1, 3, 8]), randomTensor([1, 3, 7])];
    const first = block.applyCached(x, params, null);
    await expectNoLeak(() => block.apply(x, params));
    await expectNoLeak(() => block.applyCached(x, params, null));
    await expectNoLeak(() => block.applyCached(x, params, first.cache));
    await expectNoLeak(() => block.apply(wrong, params), { throws: 'transformerBlock: x must have shape [..., 8], got [1, 3, 7]' });
    await expectNoLeak(() => block.apply(x, params, { train: true }), { throws: 'dropout: seed must be given' });
    await expectNoLeak(() => valueAndGrad((p: Record<string, Tensor>) => sum(block.apply(x, nest(block, p), { train: true, seed: 1 })), flat));
    dispose([x, wrong, first, flat]);
  });

  it.each([2, 1])('transformerBlock(config) gives the same with an attention that takes the projection unsplit as without, %i key head(s)', async (numKvHeads) => {
    const calls: string[] = [];
    const whole: AttentionFn = (q, k, v, call) => { calls.push('split'); return flashAttention(q, k, v, { ...call, dropout: 0.3 }); };
    const packed: AttentionFn['packed'] = (qkv, call) => { calls.push('packed'); return flashAttentionPacked(qkv, { ...call, dropout: 0.3 }); };
    const [unsplit, apart] = [Object.assign(whole.bind(null), { packed }), whole].map((attention) => makeBlock({ ...base, numKvHeads }, { attention })) as [TransformerBlock, TransformerBlock];
    const flat = makeParams(unsplit);
    const x = randomTensor([2, 5, 8]);
    const [a, b] = [unsplit, apart].map((block) => valueAndGrad((p: Record<string, Tensor>) => sum(square(block.apply(x, nest(block, p), { train: true, seed: 3 }))), flat)) as [{ value: Tensor; grads: Record<string, Tensor> }, { value: Tensor; grads: Record<string, Tensor> }];
    expect(calls).toEqual(['packed', 'split']);
    await expectClose(a.value, b.value, { rtol: 1e-6 });
    for (const [path, gradient] of Object.entries(a.grads)) await expectClose(gradient, b.grads[path]!, { rtol: 1e-5, atol: 1e-6 });
    dispose(unsplit.applyCached(x, nest(unsplit, flat), null));
    expect(calls).toEqual(['packed', 'split', 'split']);
    dispose([x, flat, a as never, b as never]);
  });

  it('transformerBlock({ norm }) gives the same for a norm that cannot add, gradients included', async () => {
    const plainNorm: NormFactory = (dim, place) => { const { applyToSum: _, ...layer } = layerNormLayer()(dim, place); return layer; };
    const [block, plain] = [makeBlock(base, { dropout: 0.1 }), makeBlock(base, { dropout: 0.1, norm: plainNorm })];
    const flat = makeParams(block);
    const x = randomTensor([2, 5, 8]);
    const [a, b] = [block, plain].map((each) =>
      valueAndGrad((p: Record<string, Tensor>) => sum(square(each.apply(x, nest(each, p), { train: true, seed: 1 }))), flat)) as [ValueAndGrads, ValueAndGrads];
    await expectClose(a.value, b.value);
    for (const path of Object.keys(flat)) await expectClose(a.grads[path]!, b.grads[path]!, { rtol: 1e-5, atol: 1e-5 });
    dispose([x, flat, a as never, b as never]);
  });

  if (backend === 'cpu') {
    it('transformerBlock({ norm, attention, linear }) uses what it is handed', async () => {
      const handed = makeBlock(base, { norm: rmsNormLayer(), attention: slowAttention, linear: linearLayer({ bias: false }) });
      expect(treeEntries(handed.specs as Tree<ParamSpec>).map(([path]) => path)).toEqual([
        'norm1.weight', 'attn.qkv.weight', 'attn.proj.weight', 'norm2.weight', 'mlp.up.weight', 'mlp.down.weight',
      ]);
      const [fast, flat] = [makeBlock(base), makeParams(makeBlock(base))];
      const slow = makeBlock(base, { attention: slowAttention });
      const x = randomTensor([1, 5, 8]);
      const [y, z] = [fast.apply(x, nest(fast, flat)), slow.apply(x, nest(slow, flat))];
      await expectClose(y, z);
      dispose([x, y, z, flat]);
    });
  }
});

describe('transformerBlock', () => {
  it('transformerBlock(config) says of each parameter its shape, role and block', () => {
    const specs = treeEntries(makeBlock({ ...base, numKvHeads: 1 }, { block: 1 }).specs as Tree<ParamSpec>);
    expect(specs.map(([path, { shape, role }]) => [path, shape, role])).toEqual([
      ['norm1.weight', [8], 'norm'], ['norm1.bias', [8], 'bias'],
      ['attn.qkv.weight', [16, 8], 'hidden'], ['attn.qkv.bias', [16], 'bias'],
      ['attn.proj.weight', [8, 8], 'hidden'], ['attn.proj.bias', [8], 'bias'],
      ['norm2.weight', [8], 'norm'], ['norm2.bias', [8], 'bias'],
      ['mlp.up.weight', [32, 8], 'hidden'], ['mlp.up.bias', [32], 'bias'],
      ['mlp.down.weight', [8, 32], 'hidden'], ['mlp.down.bias', [8], 'bias'],
    ]);
    expect(specs.every(([, { block }]) => block === 1)).toBe(true);
  });

  it('transformerBlock({ depth }) starts what writes to the residual stream at 0.02/√(2·depth)', async () => {
    const block = makeBlock({ ...base, dim: 128 }, { depth: 8 });
    const params = initialised(block, 1) as { attn: Record<'qkv' | 'proj', { weight: Tensor }>; mlp: Record<'up' | 'down', { weight: Tensor }> };
    const stdOf = async ({ weight }: { weight: Tensor }) => Math.sqrt((await weight.data() as Float32Array).reduce((total, value) => total + value ** 2, 0) / weight.size);
    const stds = await Promise.all([params.attn.qkv, params.attn.proj, params.mlp.up, params.mlp.down].map(stdOf));
    [0.02, 0.005, 0.02, 0.005].forEach((std, i) => expect(stds[i]! / std).toBeCloseTo(1, 1));
    dispose(params as never);
  });

  it.each([
    [{ numHeads: 3 }, 'transformerBlock: dim must be divisible by numHeads, got 8 and 3'],
    [{ numHeads: 4, numKvHeads: 3 }, 'transformerBlock: numHeads must be divisible by numKvHeads, got 4 and 3'],
    [{ dim: 0 }, 'transformerBlock: dim must be an integer ≥ 1, got 0'],
    [{ depth: 0 }, 'transformerBlock: depth must be an integer ≥ 1, got 0'],
    [{ block: -1 }, 'transformerBlock: block must be an integer ≥ 0, got -1'],
    [{ placement: 'sandwich' as never }, 'transformerBlock: placement must be one of pre, post, peri, output, lns, deepnorm, none, got sandwich'],
    [{ dropout: 1 }, 'transformerBlock: dropout must be in [0, 1), got 1'],
    [{ norm: undefined as never }, 'transformerBlock: norm must be a function such as layerNormLayer(), got undefined'],
    [{ attention: 3 as never }, 'transformerBlock: attention must be a function such as flashAttention, got number'],
  ])('transformerBlock(%j) says what is wrong', (wrong, message) => {
    const config = { dim: 8, numHeads: 2, causal: true, norm: layerNormLayer(), attention: slowAttention, block: 0, depth: 2 };
    expect(() => transformerBlock({ ...config, ...wrong })).toThrow(message);
  });

  it('transformerBlock(config) refuses x of two axes, and applyCached without causal', () => {
    const block = makeBlock({ ...base, causal: false });
    const flat = makeParams(block);
    const [x, matrix] = [randomTensor([1, 3, 8]), randomTensor([3, 8])];
    expect(() => block.apply(matrix, nest(block, flat))).toThrow('transformerBlock: x must have rank 3, got shape [3, 8]');
    expect(() => block.applyCached(x, nest(block, flat), null)).toThrow('transformerBlock: causal must be true for applyCached, got false');
    dispose([x, matrix, flat]);
  });
});
