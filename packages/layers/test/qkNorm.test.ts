/** Norms of queries and keys inside a block (arXiv:2309.14322). */
import { linearLayer, type TransformerBlock } from '@evenkeel/layers';
import { qkNorm, rmsNormLayer } from '@evenkeel/norms';
import { checkOpGrad, expectClose, forEachBackend, randomTensor } from '@evenkeel/testing';
import { concat, dispose, mul, ones, slice, tidy, type Tensor } from '@tensorflow/tfjs-core';
import { expect, it } from 'vitest';
import { block64, makeBlock, makeParams, nest, type BlockSizes } from './blockOracle.ts';
import { distance, listener } from './captured.ts';

const KINDS = ['layer', 'rms'] as const;
const base: BlockSizes = { dim: 8, numHeads: 2, numKvHeads: 2, causal: true, placed: 'pre' };
const bare = { norm: rmsNormLayer(), linear: linearLayer({ bias: false }) };

/** The parameters with the rows of queries, keys or values times c. */
function withRows(flat: Record<string, Tensor>, part: 0 | 1 | 2, c: number): Record<string, Tensor> {
  const weight = flat['attn.qkv.weight']!;
  return { ...flat, 'attn.qkv.weight': tidy(() => concat([0, 1, 2].map((i) => mul(slice(weight, [8 * i, 0], [8, 8]), i === part ? c : 1)), 0)) };
}

const applied = (block: TransformerBlock, flat: Record<string, Tensor>): Tensor => {
  const x = randomTensor([2, 5, 8], { seed: 99 });
  const y = block.apply(x, nest(block, flat));
  dispose(x);
  return y;
};

forEachBackend(() => {
  it.each(KINDS)('qkNorm({ kind: %s }) comes before rotary positions, gradients included', async (kind) => {
    const sizes: BlockSizes = { ...base, numKvHeads: 1, qkNorm: kind, rotary: true };
    const block = makeBlock(sizes);
    const inputs: Record<string, Tensor> = { x: randomTensor([1, 4, 8], { seed: 99 }), ...makeParams(block) };
    await checkOpGrad<string>({
      op: ({ x, ...flat }) => block.apply(x as Tensor, nest(block, flat)), oracle64: ({ x, ...flat }) => block64(x as Float64Array, flat, 4, sizes),
      inputs, directions: 2, rtol: 5e-4, atol: 5e-6,
    });
    const { x, ...flat } = inputs;
    const y = block.apply(x!, nest(block, flat));
    const values = Object.fromEntries(await Promise.all(Object.entries(flat).map(async ([name, leaf]) => [name, await leaf.data()] as const)));
    await expectClose(y, block64(await x!.data(), values, 4, sizes), { rtol: 1e-4, atol: 5e-5 });
    dispose([inputs, y]);
  });

  it.each(KINDS)('qkNorm({ kind: %s }) with unit gains keeps every score within √d, however large the projections', async (kind) => {
    const unit = { 'attn.qNorm.weight': ones([4]), 'attn.kNorm.weight': ones([4]) };
    for (const normed of [true, false]) {
      const block = makeBlock(normed ? { ...base, qkNorm: kind } : base, bare);
      const flat = makeParams(block);
      const large = { ...flat, ...unit, 'attn.qkv.weight': mul(flat['attn.qkv.weight']!, 1000) };
      const x = randomTensor([2, 5, 8], { seed: 99 });
      const { heard, observe } = listener();
      const y = block.apply(x, nest(block, normed ? large : { ...flat, 'attn.qkv.weight': large['attn.qkv.weight'] }), { observe });
      const largest = Math.max(...Array.from(await heard['attn.rowMax']!.data(), Math.abs));
      if (normed) expect(largest).toBeLessThanOrEqual(Math.sqrt(4) * (1 + 1e-5));
      else expect(largest).toBeGreaterThan(1e4);
      dispose([flat, large['attn.qkv.weight'], x, y, heard]);
    }
    dispose(unit);
  });

  it.each(KINDS)('qkNorm({ kind: %s }): c · W_q or c · W_k changes nothing for c > 0, c · W_v does', async (kind) => {
    const block = makeBlock({ ...base }, { ...bare, qkNorm: qkNorm({ kind, eps: 1e-12 }) });
    const flat = makeParams(block);
    const y = applied(block, flat);
    for (const [part, c] of [[0, 0.01], [0, 50], [1, 0.01], [1, 50], [2, 50]] as const) {
      const changed = withRows(flat, part, c);
      const z = applied(block, changed);
      if (part === 2) expect(await distance(z, y)).toBeGreaterThan(1);
      else await expectClose(z, y, { rtol: 1e-4, atol: 1e-4 });
      dispose([changed['attn.qkv.weight']!, z]);
    }
    dispose([flat, y]);
  });
});
