import type { ParamSpec, Tree } from '@evenkeel/core-tensor';
import { layerwiseDecay } from '@evenkeel/optimizers';
import { expect, it } from 'vitest';

const spec = (role: ParamSpec['role'], block?: number): ParamSpec => ({ shape: [2], axes: 'dim', role, ...(block !== undefined && { block }) });

it('layerwiseDecay(specs, { decay }) falls by one power per block from the head to the embeddings', () => {
  const specs: Tree<ParamSpec> = {
    tokenEmbedding: { weight: spec('embedding') }, embeddingNorm: { weight: spec('norm') },
    blocks: [{ norm: spec('norm', 0), weight: spec('hidden', 0) }, { weight: spec('hidden', 1) }, { bias: spec('bias', 2) }],
    norm: { weight: spec('norm') }, head: { weight: spec('head') }, lateEmbedding: spec('embedding'),
  };
  expect(layerwiseDecay(specs, { decay: 0.5 })).toEqual({
    tokenEmbedding: { weight: 1 / 16 }, embeddingNorm: { weight: 1 / 16 },
    blocks: [{ norm: 1 / 8, weight: 1 / 8 }, { weight: 1 / 4 }, { bias: 1 / 2 }],
    norm: { weight: 1 }, head: { weight: 1 }, lateEmbedding: 1 / 16,
  });
  expect(Object.values(layerwiseDecay({ a: spec('hidden', 0), b: spec('head') }, { decay: 1 }) as object)).toEqual([1, 1]);
});

it('layerwiseDecay(specs, options) refuses other decays and models without blocks', () => {
  expect(() => layerwiseDecay({ a: spec('hidden', 0) }, { decay: 0 })).toThrow('layerwiseDecay: decay must be between');
  expect(() => layerwiseDecay({ a: spec('hidden', 0) }, { decay: 1.1 })).toThrow('and 1, got 1.1');
  expect(() => layerwiseDecay({ a: spec('hidden') }, { decay: 0.5 })).toThrow('layerwiseDecay: specs must have parameters of blocks, got 1 without');
});
