import { checkOneOf, checkPositive, ConfigError, type NormFactory } from '@evenkeel/core-tensor';
import { layerNormLayer } from './layerNormLayer.ts';
import { rmsNormLayer } from './rmsNormLayer.ts';

export type QkNormOptions = {
  /** `layer` (default) is the paper's; `rms` does without the mean, as Qwen 3 and Gemma 3 do. */
  kind?: 'layer' | 'rms';
  /** Added to the variance or the mean square; default 1e-6. */
  eps?: number;
  /** Whether a layer norm has an offset; default false. */
  bias?: boolean;
};

/**
 * qkNorm — norm of each query and key over the channels of its head, as a value for models: `transformerBlock({ qkNorm: qkNorm(), … })`.
 *
 *     q ← weight_q · (q − mean) / √(var + eps)        so |score| ≤ √d · max|weight_q · weight_k| with scale 1/√d
 *
 * The gain, `weight: d`, is shared by all heads. It acts before rotary positions, which turn queries and keys without stretching them.
 *
 * @param options  `kind` (default `layer`); `eps` (default 1e-6); `bias` (default false).
 * @returns        a NormFactory, for heads.
 * @throws ConfigError  if `kind` is unknown, `eps` not positive, or `bias` asked of `rms`.
 *
 * Source: Wortsman et al. 2023, arXiv:2309.14322, §3.1.1; Dehghani et al. 2023, arXiv:2302.05442.
 */
export function qkNorm({ kind = 'layer', eps = 1e-6, bias = false }: QkNormOptions = {}): NormFactory {
  checkOneOf('qkNorm', 'kind', kind, ['layer', 'rms']);
  checkPositive('qkNorm', 'eps', eps);
  if (kind === 'layer') return layerNormLayer({ eps, bias });
  if (bias) throw new ConfigError('qkNorm: bias must be false for kind rms, got true');
  return rmsNormLayer({ eps });
}
