import type { Tensor } from '@tensorflow/tfjs-core';
import type { Initialiser } from './initialisers.ts';
import type { ParamSpec } from './paramSpec.ts';
import type { Seed } from './seed.ts';
import type { Tree } from './tree.ts';

/** ApplyOptions — what every layer is told besides its inputs and parameters. */
export type ApplyOptions = {
  /** Whether dropout and its like act. Default false. */
  readonly train?: boolean;
  /** All randomness of this call; required where `train` makes a layer random. */
  readonly seed?: Seed;
};

/**
 * Layer — a technique that has parameters, as a value: what its parameters are, how they start, and what it computes.
 * Norms, linears and MLPs are all layers; a model takes them as arguments and never asks which one it got.
 *
 * `params` and `specs` are trees of one structure. `apply` maps `... in` to `... out`.
 */
export type Layer<X extends Tensor | readonly Tensor[] = Tensor> = {
  readonly specs: Tree<ParamSpec>;
  /** How each parameter starts, by its path in `specs`. */
  readonly initialiserOf: (spec: ParamSpec, path: string) => Initialiser;
  apply(x: X, params: Tree<Tensor>, options?: ApplyOptions): Tensor;
  /** For a norm that has a kernel for it: `sum = x + residual` and `y = apply(sum)`. Whoever calls it does without where it is absent. */
  applyToSum?(x: Tensor, residual: Tensor, params: Tree<Tensor>, options?: ApplyOptions): { y: Tensor; sum: Tensor };
};

/** LayerPlace — where in the model a layer is being made, so that its specs and first values can say so. */
export type LayerPlace = {
  /** Index of the transformer block from 0; absent outside the blocks. */
  readonly block?: number;
  /** Number of blocks of the model, where the layer writes to the residual stream. */
  readonly residualDepth?: number;
  readonly role?: ParamSpec['role'];
};

/** NormFactory — `layerNorm()`, `rmsNorm()`: makes a norm over the last `dim` channels. */
export type NormFactory = (dim: number, place?: LayerPlace) => Layer;

/** LinearEpilogue — what a linear map can do with its result on the way: y = activation(scale · x weightᵀ + bias) + residual. */
export type LinearEpilogue = {
  readonly activation?: 'gelu' | 'geluTanh' | 'silu';
  /** `... o`, added last. */
  readonly residual?: Tensor;
  /** Default 1. */
  readonly scale?: number;
};

/** LinearLayer — a Layer that may also offer to do an epilogue in the same pass. */
export type LinearLayer = Layer & {
  applyWith?(x: Tensor, params: Tree<Tensor>, epilogue: LinearEpilogue, options?: ApplyOptions): Tensor;
};

/** LinearFactory — `linear()`, `sigmaReparam()`: makes a map from `inDim` to `outDim` channels. */
export type LinearFactory = (inDim: number, outDim: number, place?: LayerPlace) => LinearLayer;

/** MlpFactory — makes the position-wise part of a block from `dim` to `dim` channels. */
export type MlpFactory = (dim: number, linear: LinearFactory, place?: LayerPlace) => Layer;

/** AttentionCallOptions — what a model tells its attention. */
export type AttentionCallOptions = ApplyOptions & {
  /** Query i sees keys ≤ i + s − t (aligned bottom-right). */
  readonly causal?: boolean;
};

/** PackedAttentionSizes — what `b t (h+2g)·d` does not say by itself. */
export type PackedAttentionSizes = {
  /** h: query heads. */
  readonly numHeads: number;
  /** g: key and value heads; divides `numHeads`. Default `numHeads`. */
  readonly numKvHeads?: number;
};

/** PackedAttentionFn — attention on `qkv: b t (h+2g)·d` as one projection makes it, each row in the order q, k, v; to `b t h d`. */
export type PackedAttentionFn = (qkv: Tensor, options: AttentionCallOptions & PackedAttentionSizes) => Tensor;

/**
 * AttentionFn — attention as a value: `q: b t h d`, `k: b s g d`, `v: b s g d` to `b t h d`, where g divides h.
 * `flashAttention({ window, … })` and `attentionReference` make one. One that has `packed` is given q, k and v unsplit where it can be.
 */
export type AttentionFn = {
  (q: Tensor, k: Tensor, v: Tensor, options: AttentionCallOptions): Tensor;
  readonly packed?: PackedAttentionFn;
};
