import type { Tensor, Variable } from '@tensorflow/tfjs-core';
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
  /** The untrained values of the layer, as its `state.init` made them; needed where the layer has any. */
  readonly state?: Tree<Tensor>;
  /** Is told of values inside the model. Nothing is computed for it where it is absent. */
  readonly observe?: Observe;
  /** `b s`, bool or int32, for attention: positions with 0 are padding, at which nothing looks. */
  readonly keyPaddingMask?: Tensor;
  /** For attention, of sequences that stand one after another in one row: where each begins, and where the last ends. None sees another. */
  readonly cuSeqlens?: readonly number[];
};

/**
 * Observe — hears of a value inside a model as it is computed: `blocks.3.out`, `blocks.3.attn.entropy`. The value is the model's: compute
 * from it at once what is wanted. Where a block is computed again in the backward pass, it is told again.
 */
export type Observe = (name: string, value: Tensor) => void;

/**
 * LayerState — values of a layer that are saved with the parameters but not trained, and follow them: the vectors of a power iteration.
 * A tree of variables beside the parameters, with the layer's place in the model for a path.
 */
export type LayerState = {
  /** First values, which may depend on the parameters' first values; the caller's to free. */
  init(params: Tree<Tensor>): Tree<Variable>;
  /** Brings the values up to date, in place: once after every change of the parameters by a training step. */
  update(params: Tree<Tensor>, state: Tree<Variable>): void;
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
  /** Its untrained values, if it has any. `apply` is given them as `options.state`. */
  readonly state?: LayerState;
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
  /** What the layer's output axis is, for its specs: `hidden`, `qkv`. A norm has this one only. */
  readonly outAxis?: string;
  /** What its input axis is. */
  readonly inAxis?: string;
  /** Sizes of the pieces that the output axis consists of, such as those of q, k and v. */
  readonly parts?: readonly number[];
  /** Channels of one head, where the layer maps to heads or from them. */
  readonly headDim?: number;
};

/** NormFactory — `layerNormLayer()`, `rmsNormLayer()`: makes a norm over the last `dim` channels. */
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

/** LinearFactory — `linearLayer()`, `sigmaReparam()`: makes a map from `inDim` to `outDim` channels. */
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
 * VarlenAttentionFn — attention within sequences of different lengths one after another: `q: n h d`, `k: m g d`, `v: m g d` to `n h d`;
 * `cuSeqlens…` say where each begins, from 0 to n or m.
 */
export type VarlenAttentionFn = (
  q: Tensor, k: Tensor, v: Tensor, cuSeqlensQ: readonly number[], cuSeqlensK: readonly number[], options: AttentionCallOptions,
) => Tensor;

/**
 * AttentionFn — attention as a value: `q: b t h d`, `k: b s g d`, `v: b s g d` to `b t h d`, where g divides h.
 * `flashAttention({ window, … })` and `attentionReference` make one. One that has `packed` is given q, k and v unsplit where it can be; one
 * that is to see `cuSeqlens` must have `varlen`, which is called instead.
 * With `observe` it tells of each query's `entropy` (of its weights, in nats) and `rowMax` (its largest score), `b h t`.
 */
export type AttentionFn = {
  (q: Tensor, k: Tensor, v: Tensor, options: AttentionCallOptions): Tensor;
  readonly packed?: PackedAttentionFn;
  readonly varlen?: VarlenAttentionFn;
};
