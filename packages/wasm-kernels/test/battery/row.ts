import type { Draw, Values } from './draw.ts';
import type { Reference } from './references.ts';

export type Tolerance = { readonly rtol?: number; readonly atol?: number };

/** Row — one way to call a kernel, and what is to come out. */
export type Row = {
  readonly kernel: string;
  /** What tells this row from others of the same kernel. */
  readonly form?: string;
  /** The inputs of size `n`, which may be 0. */
  readonly inputs: (draw: Draw, n: number) => Record<string, Values>;
  readonly attrs?: object | ((n: number) => object);
  /** Default: the CPU backend's kernel of the same name. */
  readonly reference?: Reference;
  /** Lists of inputs that the kernel writes over: their new values count as further results. */
  readonly writes?: readonly string[];
  /** A size with several chunks, for the tests of threads and of time. */
  readonly large: number;
  readonly tolerance?: Tolerance;
  /** By the name of a backend whose own functions (exp, tanh) are less exact. */
  readonly toleranceOn?: Readonly<Record<string, Tolerance>>;
  /**
   * `same` (default): NaN and infinities stand where the reference has them. `notFinite`: one may stand for the other.
   * `spread`: there may be more of them, as 0 · NaN of a key that the query does not see.
   */
  readonly specials?: 'same' | 'notFinite' | 'spread';
  /** Whether nothing but zeros is right. */
  readonly isZero?: boolean;
  /** Denormal inputs may take long: numbers below 10⁻³⁸ do not come here in a training run. */
  readonly slowDenormals?: boolean;
};
