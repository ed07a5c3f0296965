import type { Finding } from '@evenkeel/core-tensor';

/** What was not finite: the loss, the norm of the gradient, a parameter at a checkpoint, or the validation loss. */
export type NonFiniteQuantity = 'loss' | 'gradient norm' | 'parameter' | 'validation loss';

export type NonFiniteDetails = { step: number; quantity: NonFiniteQuantity; value: number; path?: string; findings?: readonly Finding[] };

/** NonFiniteError — a run came to NaN or Infinity and was stopped; checkpoints written before stay as they are. */
export class NonFiniteError extends Error {
  override name = 'NonFiniteError';
  /** The step that failed, counted from 1 as in the metrics. */
  readonly step: number;
  readonly quantity: NonFiniteQuantity;
  /** NaN, Infinity or −Infinity. */
  readonly value: number;
  /** First parameter or gradient that is not finite, if one was found. */
  readonly path: string | undefined;

  /** What a monitor says of the failing step, or said last; empty without one. */
  readonly findings: readonly Finding[];

  constructor(message: string, { step, quantity, value, path, findings = [] }: NonFiniteDetails) {
    super(message);
    this.step = step;
    this.quantity = quantity;
    this.value = value;
    this.path = path;
    this.findings = findings;
  }
}
