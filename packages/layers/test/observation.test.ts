/** What a block says of itself while it computes: names, values, and that saying nothing costs nothing. */
import { foldSeed, type AttentionFn, type Observe } from '@evenkeel/core-tensor';
import { flashAttention } from '@evenkeel/flash-attention';
import { dropout } from '@evenkeel/layers';
import { expectClose, expectNoLeak, forEachBackend, randomTensor } from '@evenkeel/testing';
import { add, dispose, profile, tidy, type Tensor } from '@tensorflow/tfjs-core';
import { expect, it } from 'vitest';
import { makeBlock, makeParams, nest, observed64, PLACED_NAMES, slowAttention, type BlockSizes } from './blockOracle.ts';
import { listener } from './captured.ts';

const base: BlockSizes = { dim: 8, numHeads: 2, numKvHeads: 1, causal: true, placed: 'pre', block: 2, depth: 5 };
const NAMES = ['attn.rowMax', 'attn.entropy', 'attn.out', 'mlp.out', 'out'] as const;

const readAll = async (tensors: Record<string, Tensor>) =>
  Object.fromEntries(await Promise.all(Object.entries(tensors).map(async ([name, leaf]) => [name, await leaf.data()] as const)));

forEachBackend(() => {
  it.each(PLACED_NAMES)('transformerBlock tells what it adds to the stream, what its attention is like and what it gives, as the oracle has it: %s', async (placed) => {
    const sizes: BlockSizes = { ...base, placed, qkNorm: 'layer' };
    const block = makeBlock(sizes);
    const flat = makeParams(block);
    const x = randomTensor([2, 5, 8], { seed: 99 });
    const { heard, names, observe } = listener();
    const y = block.apply(x, nest(block, flat), { observe });
    expect([...names].sort()).toEqual([...NAMES].sort());
    expect(names.slice(-3)).toEqual(['attn.out', 'mlp.out', 'out']);
    expect(heard['attn.entropy']!.shape).toEqual([2, 2, 5]);
    const expected = observed64(await x.data(), await readAll(flat), 5, sizes);
    for (const name of NAMES) await expectClose(heard[name]!, expected[name], { rtol: 1e-4, atol: 5e-5 });
    await expectClose(heard['out']!, y, { rtol: 0, atol: 0 });
    dispose([x, y, flat, heard]);
  });

  it('transformerBlock tells the same from a cache, for the positions that are new', async () => {
    const block = makeBlock(base);
    const flat = makeParams(block);
    const [first, last] = [randomTensor([1, 4, 8]), randomTensor([1, 1, 8], { seed: 2 })];
    const { cache, y } = block.applyCached(first, nest(block, flat), null);
    const { heard, names, observe } = listener();
    const next = block.applyCached(last, nest(block, flat), cache, { observe });
    expect([...names].sort()).toEqual([...NAMES].sort());
    const all = await Promise.all([first, last].map((x) => x.data()));
    const expected = observed64(Float32Array.of(...all[0]!, ...all[1]!), await readAll(flat), 5, base);
    await expectClose(heard['mlp.out']!, expected['mlp.out'].slice(-8), { rtol: 1e-4, atol: 5e-5 });
    await expectClose(heard['attn.entropy']!, [[[expected['attn.entropy'][4]!], [expected['attn.entropy'][9]!]]], { rtol: 1e-4, atol: 5e-5 });
    dispose([first, last, y, cache as never, next as never, flat, heard]);
  });

  it('transformerBlock tells of what is added after dropout, so that the stream is the sum of what was told', async () => {
    const block = makeBlock({ ...base, placed: 'peri' }, { dropout: 0.5 });
    const flat = makeParams(block);
    const x = randomTensor([2, 5, 8], { seed: 99 });
    const { heard, observe } = listener();
    const y = block.apply(x, nest(block, flat), { train: true, seed: 3, observe });
    const total = tidy(() => add(add(x, heard['attn.out']!), heard['mlp.out']!));
    await expectClose(total, y, { rtol: 1e-6, atol: 1e-6 });
    const branch = await heard['attn.out']!.data() as Float32Array;
    const kept = dropout(x, { rate: 0.5, train: true, seed: foldSeed(3, 'residual1', 2) });
    const mask = await kept.data();
    expect(branch.map((value) => Number(value !== 0))).toEqual(mask.map((value) => Number(value !== 0)));
    dispose([x, y, total, kept, flat, heard]);
  });

  it('transformerBlock without an observer does not ask its attention for anything, and runs no more kernels than one that is heard', async () => {
    const asked: boolean[] = [];
    const mute: AttentionFn = (q, k, v, { observe, ...call }) => { asked.push(observe !== undefined); return slowAttention(q, k, v, call); };
    const block = makeBlock({ ...base, placed: 'peri', qkNorm: 'rms' }, { attention: mute });
    const flat = makeParams(block);
    const x = randomTensor([1, 3, 8]);
    const kernelsOf = async (observe?: Observe) => (await profile(() => tidy(() => { block.apply(x, nest(block, flat), observe && { observe }); }))).kernels.map(({ name }) => name);
    const [silent, heard] = [await kernelsOf(), await kernelsOf(() => {})];
    expect(asked).toEqual([false, true]);
    expect(heard).toEqual(silent);
    expect(silent.length).toBeGreaterThan(5);
    dispose([x, flat]);
  });

  it('transformerBlock with an observer that keeps nothing leaks nothing', async () => {
    const block = makeBlock(base, { attention: flashAttention });
    const flat = makeParams(block);
    const x = randomTensor([1, 3, 8]);
    await expectNoLeak(() => block.apply(x, nest(block, flat), { observe: () => {} }));
    await expectNoLeak(() => block.apply(x, nest(block, flat), { observe: () => { throw new Error('stop'); } }), { throws: 'stop' });
    dispose([x, flat]);
  });
});
