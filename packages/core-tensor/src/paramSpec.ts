/** ParamRole — what a parameter is for; whatever treats parameters by kind reads it. */
export type ParamRole = 'embedding' | 'hidden' | 'head' | 'norm' | 'bias' | 'scalar';

/**
 * ParamSpec — what is known of a parameter besides its values. `model.specs` is a tree of these, in the shape of the
 * parameters; weight-decay masks, muP scaling, sharding, coalescing and checkpoint maps read it.
 */
export type ParamSpec = {
  readonly shape: readonly number[];
  /**
   * One name per axis, as in einops: `vocab dim`, `hidden dim`, `dim`. Axes of one name have the same meaning throughout a model: `dim` are
   * the channels of the residual stream, `hidden` those inside an MLP, `heads` and `qkv` those of attention; `out` and `in` say nothing.
   */
  readonly axes: string;
  /** Sizes of the pieces that the first axis consists of, if it has several: those of q, k and v. */
  readonly parts?: readonly number[];
  /** Channels of one head, where an axis consists of heads: of the maps into and out of attention. */
  readonly headDim?: number;
  readonly role: ParamRole;
  /** Index of the transformer block, counted from 0; absent outside the blocks. */
  readonly block?: number;
  /** Number of inputs that one output sums over; what initialisers and muP scale by. */
  readonly fanIn?: number;
  /** Name of the parameter beside it, if this scalar is the spectral norm that that one is brought to. */
  readonly normOf?: string;
};
