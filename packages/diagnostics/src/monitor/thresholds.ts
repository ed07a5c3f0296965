import { checkPositive, checkRange } from '@evenkeel/core-tensor';
import { checkNames } from './checkNames.ts';

/** Thresholds — where a finding begins. */
export type Thresholds = {
  /** Rise of the loss over its running median, as a share of that, which is a spike. Default 0.25; at least 8 times its usual scatter. */
  readonly lossSpike: number;
  /** Share of the entropy that a head could have, below which it has collapsed. Default 0.02. */
  readonly entropy: number;
  /** Attention logit at which training breaks down. Default 1e4. */
  readonly attentionLogit: number;
  /** Mean log-partition of the output logits, in absolute value, from which on they drift. Default 50. */
  readonly logPartition: number;
  /**
   * The optimizer's eps: gradients whose root mean square comes near it (within a factor of 10) hardly change anything. Default 1e-8, AdamW's; 0 for
   * optimizers whose steps do not shrink beside one, such as SGD: then only gradients that are zero are found.
   */
  readonly eps: number;
};

const THRESHOLDS: Thresholds = { lossSpike: 0.25, entropy: 0.02, attentionLogit: 1e4, logPartition: 50, eps: 1e-8 };

/** withDefaultThresholds — checks thresholds and fills in those that are missing. */
export function withDefaultThresholds(given: Partial<Thresholds>): Thresholds {
  checkNames('thresholds', given, THRESHOLDS);
  const thresholds = { ...THRESHOLDS, ...given };
  for (const name of ['lossSpike', 'attentionLogit', 'logPartition'] as const) checkPositive('monitor', `thresholds.${name}`, thresholds[name]);
  checkRange('monitor', 'thresholds.eps', thresholds.eps, 0, 1);
  checkRange('monitor', 'thresholds.entropy', thresholds.entropy, 0, 1);
  return thresholds;
}
