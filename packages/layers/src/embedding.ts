import { checkDtype, checkInteger, checkRank, fusedOp, normal, runKernel, type Initialiser, type Layer } from '@evenkeel/core-tensor';
import { gather, tidy, type Tensor } from '@tensorflow/tfjs-core';

/** EmbeddingParams — `weight: v c`, one row per token. */
export type EmbeddingParams = { weight: Tensor };

const fusedEmbedding = fusedOp<{ weight: Tensor; ids: Tensor }, object>({
  name: 'evenkeel/embedding',
  reference: ({ weight, ids }) => gather(weight, ids),
  gradient: {
    kernels: ['evenkeel/embeddingGrad'],
    run: ({ dy, inputs: { weight, ids } }) => ({
      weight: () => runKernel('evenkeel/embeddingGrad', { ids, dy }, { vocabSize: weight.shape[0] as number }), // v c
    }),
  },
  differentiable: 'once',
});

/**
 * embedding — the rows of a table that `ids` name.
 *
 *     y[...] = weight[ids[...]]
 *
 * @param ids     `...` — int32, each in [0, v); backends that can see the values reject others; on a GPU they give NaN and no gradient.
 * @param params  `weight: v c`; its gradient adds up over equal ids.
 * @returns       `... c` — a new tensor owned by the caller.
 * @throws ShapeError  if `ids` is not int32 or `weight` has no two axes.
 */
export function embedding(ids: Tensor, { weight }: EmbeddingParams): Tensor {
  checkDtype('embedding', 'ids', ids, 'int32');
  checkRank('embedding', 'weight', weight, 2);
  return tidy('embedding', () => fusedEmbedding({ weight, ids }, {}));
}

export type EmbeddingLayerOptions = {
  /** What a row stands for, in the spec: `vocab` (default), `position`, `type`. */
  axis?: string;
  /** How the rows start; default N(0, 0.02²). */
  initialiser?: Initialiser;
};

/**
 * embeddingLayer — a table of learned rows as a layer: `apply(ids, params)` is `embedding(ids, params)`.
 *
 * @throws ConfigError  if `count` or `dim` is not a positive integer.
 */
export function embeddingLayer(count: number, dim: number, { axis = 'vocab', initialiser = normal() }: EmbeddingLayerOptions = {}): Layer {
  checkInteger('embeddingLayer', 'count', count);
  checkInteger('embeddingLayer', 'dim', dim);
  return {
    specs: { weight: { shape: [count, dim], axes: `${axis} dim`, role: 'embedding' } },
    initialiserOf: () => initialiser,
    apply: (ids, params) => embedding(ids, params as EmbeddingParams),
  };
}
