/** The norms of queries and keys; what they do inside an attention is tested with the block, in @evenkeel/layers. */
import { treeEntries, type ParamSpec, type Tree } from '@evenkeel/core-tensor';
import { qkNorm, type QkNormOptions } from '@evenkeel/norms';
import { expectClose, forEachBackend, layerNorm64, randomTensor, rmsNorm64 } from '@evenkeel/testing';
import { dispose, mul, type Tensor } from '@tensorflow/tfjs-core';
import { describe, expect, it } from 'vitest';

const KINDS = ['layer', 'rms'] as const satisfies QkNormOptions['kind'][];
const norm64 = { layer: layerNorm64, rms: rmsNorm64 };

forEachBackend(() => {
  it.each(KINDS)('qkNorm({ kind: %s }) normalises each head of each position, with one gain for all heads', async (kind) => {
    const norm = qkNorm({ kind })(5);
    const params = { weight: randomTensor([5], { mean: 1 }) };
    const q = randomTensor([2, 3, 4, 5], { seed: 2, std: 3, mean: 1 }) as Tensor;
    const y = norm.apply(q, params);
    await expectClose(y, norm64[kind](await q.data(), 5, { weight: await params.weight.data(), eps: 1e-6 }), { atol: 1e-5 });
    dispose([params, q, y]);
  });

  it.each(KINDS)('qkNorm({ kind: %s }) with unit gains makes queries and keys √d long, so that no scaled score exceeds √d', async (kind) => {
    const [norm, d] = [qkNorm({ kind })(16), 16];
    for (const scale of [0.1, 1000]) {
      const x = randomTensor([65, d], { std: scale }) as Tensor;
      const y = norm.apply(x, {});
      const values = await y.data();
      for (let r = 0; r < 65; r++) expect(Math.hypot(...values.slice(r * d, (r + 1) * d))).toBeCloseTo(Math.sqrt(d), 2);
      dispose([x, y]);
    }
  });

  it.each(KINDS)('qkNorm({ kind: %s }) of c · q is that of q for every c > 0', async (kind) => {
    const norm = qkNorm({ kind, eps: 1e-12 })(7);
    const q = randomTensor([3, 2, 7]) as Tensor;
    const y = norm.apply(q, {});
    for (const c of [0.01, 3, 1e4]) {
      const scaled = mul(q, c);
      const z = norm.apply(scaled, {});
      await expectClose(z, y, { rtol: 1e-4, atol: 1e-5 });
      dispose([scaled, z]);
    }
    dispose([q, y]);
  });
});

describe('qkNorm', () => {
  it('qkNorm(options) has one gain for each channel of a head, and an offset only when asked', () => {
    const pathsOf = (options: QkNormOptions) => treeEntries(qkNorm(options)(4, { block: 1, outAxis: 'headDim' }).specs as Tree<ParamSpec>);
    const weight = ['weight', { shape: [4], axes: 'headDim', role: 'norm', block: 1 }];
    expect(pathsOf({})).toEqual([weight]);
    expect(pathsOf({ kind: 'rms' })).toEqual([weight]);
    expect(pathsOf({ bias: true })).toEqual([weight, ['bias', { shape: [4], axes: 'headDim', role: 'bias', block: 1 }]]);
  });

  it('qkNorm names what is wrong', () => {
    expect(() => qkNorm({ kind: 'batch' as never })).toThrow('qkNorm: kind must be one of layer, rms, got batch');
    expect(() => qkNorm({ eps: 0 })).toThrow('qkNorm: eps must be a positive number, got 0');
    expect(() => qkNorm({ kind: 'rms', bias: true })).toThrow('qkNorm: bias must be false for kind rms, got true');
  });
});
