/** LayerNorm Scaling: what the paper's rule implies (arXiv:2502.05795). */
import { valueAndGrad, type AttentionFn, type MlpFactory } from '@evenkeel/core-tensor';
import { layerNormScaling, linearLayer, type Placement, type TransformerBlock, type TransformerBlockConfig } from '@evenkeel/layers';
import { qkNorm, rmsNormLayer } from '@evenkeel/norms';
import { expectClose, forEachBackend, randomTensor } from '@evenkeel/testing';
import { clone, dispose, mul, square, sum, zerosLike, type Tensor } from '@tensorflow/tfjs-core';
import { expect, it } from 'vitest';
import { makeBlock, makeParams, nest } from './blockOracle.ts';
import { capturingLinear, capturingNorm, distance, listener, reluMlp } from './captured.ts';

const C = 8;
const base = { dim: C, numHeads: 2, numKvHeads: 2, causal: true, depth: 6, placed: 'pre' } as const;
const bare = { norm: rmsNormLayer({ eps: 1e-12 }), linear: linearLayer({ bias: false }) };
const blockOf = (placement: Placement, block: number, extra: Partial<TransformerBlockConfig> = {}): TransformerBlock => makeBlock({ ...base, block }, { placement, ...extra });

/** Attention without a softmax: linear in its values. */
const valuesThrough: AttentionFn = (_q, _k, v) => clone(v);
/** One linear map in place of an MLP. */
const linearMlp: MlpFactory = (dim, linear, place) => linear(dim, dim, { ...place, outAxis: 'dim', inAxis: 'hidden' });
const afterSublayer = layerNormScaling({ position: 'afterSublayer' });

type Tensors = Record<string, Tensor>;

forEachBackend(() => {
  it.each([0, 1, 5])('lns: what attention and MLP of block %i (from 0) are given is their norm divided by √l', async (block) => {
    const [{ linear, seen }, { norm, given }] = [capturingLinear(), capturingNorm(rmsNormLayer())];
    const lns = blockOf('lns', block, { norm, linear });
    const flat = makeParams(lns);
    const x = randomTensor([2, 3, C], { seed: 99 });
    const y = lns.apply(x, nest(lns, flat));
    const factor = Math.fround(1 / Math.sqrt(block + 1));
    for (const [i, name] of ['qkv dim', 'hidden dim'].entries()) {
      await expectClose(seen[name]!, (await given[i]!.data()).map((value) => value * factor), { rtol: 0, atol: 0 });
    }
    dispose([flat, x, y, seen, given]);
  });

  it('lns: the first block is bit by bit that of pre-norm', async () => {
    const [lns, pre] = [blockOf('lns', 0), blockOf('pre', 0)];
    const flat = makeParams(lns);
    const x = randomTensor([2, 3, C], { seed: 99 });
    const [y, z] = [lns.apply(x, nest(lns, flat)), pre.apply(x, nest(pre, flat))];
    await expectClose(y, z, { rtol: 0, atol: 0 });
    dispose([flat, x, y, z]);
  });

  it.each([1, 5])('lns is pre-norm with gains and offsets divided by √l; the gradients of its own are 1/√l of those (block %i, from 0)', async (block) => {
    const factor = 1 / Math.sqrt(block + 1);
    const [lns, pre] = [blockOf('lns', block), blockOf('pre', block)];
    const flat = makeParams(lns);
    const isNorm = (path: string): boolean => path.startsWith('norm');
    const folded = Object.fromEntries(Object.entries(flat).map(([path, value]) => [path, mul(value, isNorm(path) ? factor : 1)]));
    const x = randomTensor([2, 3, C], { seed: 99 }) as Tensor;
    const gradientsOf = (each: TransformerBlock, p: Tensors) => valueAndGrad((q: Tensors) => sum(square(each.apply(x, nest(each, q)))), p) as unknown as { value: Tensor; grads: Tensors };
    const [a, b] = [gradientsOf(lns, flat), gradientsOf(pre, folded)];
    await expectClose(a.value, b.value, { rtol: 1e-5 });
    for (const [path, gradient] of Object.entries(a.grads)) {
      const expected = mul(b.grads[path]!, isNorm(path) ? factor : 1);
      await expectClose(gradient, expected, { rtol: 1e-3, atol: 2e-3 });
      dispose(expected);
    }
    dispose([flat, folded, x, a as never, b as never]);
  });

  it('lns after the norm and after the sub-layer are one for linear sub-layers, and two with a softmax or a GELU between', async () => {
    for (const [parts, same] of [[{ ...bare, attention: valuesThrough, mlp: linearMlp }, true], [bare, false]] as const) {
      const [first, second] = [blockOf('lns', 3, parts), blockOf(afterSublayer, 3, parts)];
      const flat = makeParams(first);
      const x = randomTensor([2, 3, C], { seed: 99 });
      const [y, z] = [first.apply(x, nest(first, flat)), second.apply(x, nest(second, flat))];
      if (same) await expectClose(y, z, { rtol: 1e-4, atol: 1e-5 });
      else expect(await distance(y, z)).toBeGreaterThan(0.01);
      dispose([flat, x, y, z]);
    }
  });

  it('lns beside qk-norm leaves attention as it is, and scales its values alone; without qk-norm it evens it out', async () => {
    for (const normed of [true, false]) {
      const parts = { ...bare, ...(normed && { qkNorm: qkNorm({ eps: 1e-12 }) }) };
      const [lns, pre] = [blockOf('lns', 5, parts), blockOf('pre', 5, parts)];
      const flat = makeParams(lns);
      const x = randomTensor([2, 3, C], { seed: 99 });
      const [a, b] = [listener(), listener()];
      dispose([lns.apply(x, nest(lns, flat), { observe: a.observe }), pre.apply(x, nest(pre, flat), { observe: b.observe })]);
      if (normed) {
        for (const name of ['attn.entropy', 'attn.rowMax']) await expectClose(a.heard[name]!, b.heard[name]!, { rtol: 1e-4, atol: 1e-4 });
        const expected = mul(b.heard['attn.out']!, 1 / Math.sqrt(6));
        await expectClose(a.heard['attn.out']!, expected, { rtol: 1e-4, atol: 1e-5 });
        dispose(expected);
      } else {
        const [scaled, full] = await Promise.all([a, b].map(({ heard }) => heard['attn.entropy']!.data()));
        expect(mean(scaled!)).toBeGreaterThan(mean(full!));
      }
      dispose([flat, x, a.heard, b.heard]);
    }
  });

  it('peri takes the factor of lns away again where sub-layers are homogeneous', async () => {
    const parts = { ...bare, attention: valuesThrough, mlp: reluMlp };
    const [both, peri] = [blockOf({ input: true, output: true, final: true, inputScale: layerNormScaling().inputScale! }, 5, parts), blockOf('peri', 5, parts)];
    const flat = makeParams(peri);
    const x = randomTensor([2, 3, C], { seed: 99 });
    const [y, z] = [both.apply(x, nest(both, flat)), peri.apply(x, nest(peri, flat))];
    await expectClose(y, z, { rtol: 1e-4, atol: 1e-5 });
    dispose([flat, x, y, z]);
  });

  it.each(['pre', 'lns', 'none'] as const)('%s: a block whose two last maps are 0 is no block', async (placement) => {
    const block = blockOf(placement, 3);
    const flat = makeParams(block);
    const silent = Object.fromEntries(Object.entries(flat).filter(([path]) => /^(attn.proj|mlp.down)/.test(path)).map(([path, value]) => [path, zerosLike(value)]));
    const x = randomTensor([2, 3, C], { seed: 99 });
    const y = block.apply(x, nest(block, { ...flat, ...silent }));
    await expectClose(y, x, { rtol: 0, atol: 0 });
    dispose([flat, silent, x, y]);
  });
});

const mean = (values: ArrayLike<number>): number => Array.from(values).reduce((a, b) => a + b, 0) / values.length;
