import { checkInteger, checkPositive, treeLeaves, type ParamSpec, type Tree } from '@evenkeel/core-tensor';

/**
 * countParams — how many numbers a model trains.
 *
 * @param specs    `model.specs`.
 * @param options  `excludeEmbeddings`: leave out embeddings and the output head, as scaling laws do; a head that shares the token embedding is
 *                 counted with it. Default false.
 */
export function countParams(specs: Tree<ParamSpec>, { excludeEmbeddings = false }: { excludeEmbeddings?: boolean } = {}): number {
  const counted = treeLeaves<ParamSpec>(specs).filter(({ role }) => !excludeEmbeddings || (role !== 'embedding' && role !== 'head'));
  return counted.reduce((sum, { shape }) => sum + shape.reduce((product, size) => product * size, 1), 0);
}

export type FlopsConfig = {
  /** Without embeddings and head: `countParams(specs, { excludeEmbeddings: true })`. */
  params: number;
  depth: number;
  dim: number;
  contextLength: number;
  /** Adds the output head. Default: no head, for `params` that include it. */
  vocabSize?: number;
  /** Whether the attention skips what a causal mask hides, half of its products. Default false. */
  causal?: boolean;
};

/**
 * trainingFlops — floating-point operations of training a transformer on `tokens` tokens, forward and backward.
 *
 *     tokens · (6 · params + 12 · depth · dim · contextLength + 6 · vocabSize · dim)        causal: 6 · depth · dim · contextLength
 *
 * Norms, activations and the optimizer are left out; so is what rematerialisation computes again.
 *
 * Source: Kaplan et al. 2020, arXiv:2001.08361, §2.1; with the products of attention, as in Chowdhery et al. 2022, arXiv:2204.02311, appendix B.
 */
export function trainingFlops({ params, depth, dim, contextLength, vocabSize = 0, causal = false }: FlopsConfig, tokens: number): number {
  for (const [name, value] of Object.entries({ params, depth, dim, contextLength })) checkInteger('trainingFlops', name, value);
  checkInteger('trainingFlops', 'vocabSize', vocabSize, 0);
  checkPositive('trainingFlops', 'tokens', tokens);
  return tokens * (6 * params + (causal ? 6 : 12) * depth * dim * contextLength + 6 * vocabSize * dim);
}
