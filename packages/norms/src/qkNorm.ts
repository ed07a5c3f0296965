import type { NormFactory } from '@evenkeel/core-tensor';
import { layerNormLayer, type LayerNormLayerOptions } from './layerNormLayer.ts';

/**
 * qkNorm — LayerNorm of each query and key over the channels of its head, as a value for models: `transformerBlock({ qkNorm: qkNorm(), … })`.
 *
 *     q ← weight_q · (q − mean) / √(var + eps)        so |score| ≤ √d · max|weight_q · weight_k| with scale 1/√d
 *
 * The gain, `weight: d`, is shared by all heads. It acts before rotary positions.
 *
 * @param options  `eps` (default 1e-6); `bias` (default false).
 * @returns        a NormFactory, for heads.
 *
 * Source: Wortsman et al. 2023, arXiv:2309.14322, §3.1.1; Dehghani et al. 2023, arXiv:2302.05442.
 */
export const qkNorm = ({ eps = 1e-6, bias = false }: LayerNormLayerOptions = {}): NormFactory => layerNormLayer({ eps, bias });
