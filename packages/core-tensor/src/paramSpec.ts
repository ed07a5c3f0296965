/** ParamRole — what a parameter is for; whatever treats parameters by kind reads it. */
export type ParamRole = 'embedding' | 'hidden' | 'head' | 'norm' | 'bias' | 'scalar';

/**
 * ParamSpec — what is known of a parameter besides its values. `model.specs` is a tree of these, in the shape of the
 * parameters; weight-decay masks, muP scaling, sharding, coalescing and checkpoint maps read it.
 */
export type ParamSpec = {
  readonly shape: readonly number[];
  /** One name per axis, as in einops: `out in`, `vocab dim`, `dim`. */
  readonly axes: string;
  readonly role: ParamRole;
  /** Index of the transformer block, counted from 0; absent outside the blocks. */
  readonly block?: number;
  /** Number of inputs that one output sums over; what initialisers and muP scale by. */
  readonly fanIn?: number;
};
