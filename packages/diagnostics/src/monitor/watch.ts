import { ConfigError } from '@evenkeel/core-tensor';
import { checkNames } from './checkNames.ts';

/** Watch — what a monitor computes. */
export type Watch = {
  /** `blocks.N.attn.entropy`: see `headEntropy`, one number per head. Default true. */
  readonly entropy?: boolean;
  /** `blocks.N.attn.maxLogit`: the largest score before the softmax, per head. Default true. */
  readonly logits?: boolean;
  /** `logits.logPartition`: see `logPartition`, [mean, largest]. Default true. */
  readonly outputLogits?: boolean;
  /** `embedding.rms`, `blocks.N.out.rms`: root mean square of the residual stream. Default true. */
  readonly activations?: boolean;
  /** `blocks.N.attn.out.rms`, `blocks.N.mlp.out.rms`: of what each branch adds to it. Default false. */
  readonly branches?: boolean;
  /** `<path>.rms`, `<path>.gradientRms`, `<path>.updateRms`: root mean squares of each parameter, its gradient and its update. Default true. */
  readonly parameters?: boolean;
};

const WATCH: Required<Watch> = { entropy: true, logits: true, outputLogits: true, activations: true, branches: false, parameters: true };

/** withDefaultWatch — checks the names and fills in those that are missing. */
export function withDefaultWatch(given: Watch): Required<Watch> {
  checkNames('watch', given, WATCH);
  for (const [name, value] of Object.entries(given)) {
    if (value !== undefined && typeof value !== 'boolean') throw new ConfigError(`monitor: watch.${name} must be true or false, got ${String(value)}`);
  }
  return { ...WATCH, ...given };
}
