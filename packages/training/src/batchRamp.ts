import { checkDivisible, checkInteger, ConfigError, type Schedule } from '@evenkeel/core-tensor';

export type BatchRampOptions = {
  /** Rows of the first batches. */
  from: number;
  /** Rows from step `steps` on. */
  to: number;
  steps: number;
  /** Every size is a multiple of it, as are `from` and `to`: the number of micro-batches, or a size that kernels like. Default 1. */
  multipleOf?: number;
  /** How many sizes there are at most, the first and the last included; default 4. */
  sizes?: number;
};

/**
 * batchRamp — the size of the batch at each step, from small to large in a few equal stages: early gradients are alike, so that small
 * batches serve as well and cost less.
 *
 *     size(step) = from + ⌊step · (sizes − 1) / steps⌋ · (to − from) / (sizes − 1), rounded down to a multiple; `to` from `steps` on
 *
 * A device that replays steps records the step anew for each size, which takes a few slower steps, and keeps the buffers of the last four:
 * hence few sizes.
 *
 * @returns  a schedule: rows of the batch of a step, counted from 0.
 * @throws ConfigError  if a size is no positive multiple of `multipleOf`, or `to` is below `from`.
 *
 * Source: Brown et al. 2020, arXiv:2005.14165, appendix B. Departs from the paper: in stages, not in a straight line over tokens.
 */
export function batchRamp({ from, to, steps, multipleOf = 1, sizes = 4 }: BatchRampOptions): Schedule {
  for (const [name, value] of Object.entries({ from, to, steps, multipleOf })) checkInteger('batchRamp', name, value);
  checkInteger('batchRamp', 'sizes', sizes, 2);
  checkDivisible('batchRamp', 'from', from, 'multipleOf', multipleOf);
  checkDivisible('batchRamp', 'to', to, 'multipleOf', multipleOf);
  if (to < from) throw new ConfigError(`batchRamp: to must be at least from, got ${to} and ${from}`);
  const stages = sizes - 1;
  return (step) => {
    const stage = Math.min(stages, Math.floor((step * stages) / steps));
    return Math.floor((from + (stage * (to - from)) / stages) / multipleOf) * multipleOf;
  };
}
