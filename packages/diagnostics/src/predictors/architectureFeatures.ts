import { checkInteger, checkRange, checkPositive } from '@evenkeel/core-tensor';

/** Architecture — the sizes that the growth of massive activations is predicted from; a GptConfig is one. */
export type Architecture = {
  readonly depth: number;
  readonly dim: number;
  readonly numHeads: number;
  readonly hiddenDim: number;
  /** Base of rotary positions and the share of a head's channels that they turn, where the model has them. */
  readonly rotaryBase?: number;
  readonly rotaryShare?: number;
};

/**
 * architectureFeatures — what is known of a layer before training, as numbers by name: its depth l/L with square, cube and root, heads per
 * channel, MLP width and channels per layer, and so on.
 *
 * @param config  see Architecture.
 * @param layer   l, from 1 to `depth`: the stream after block l.
 * @throws ConfigError  if a size is no positive integer, or `layer` is not one of the model's.
 *
 * Source: arXiv:2508.03616, §5.
 */
export function architectureFeatures(config: Architecture, layer: number): Record<string, number> {
  const { depth, dim, numHeads, hiddenDim, rotaryBase, rotaryShare } = config;
  for (const [name, value] of Object.entries({ depth, dim, numHeads, hiddenDim })) checkInteger('architectureFeatures', name, value);
  checkInteger('architectureFeatures', 'layer', layer);
  checkRange('architectureFeatures', 'layer', layer, 1, depth);
  if (rotaryBase !== undefined) checkPositive('architectureFeatures', 'rotaryBase', rotaryBase);
  if (rotaryShare !== undefined) checkRange('architectureFeatures', 'rotaryShare', rotaryShare, 0, 1);
  const at = layer / depth;
  return {
    depthFraction: at, depthSquared: at ** 2, depthCubed: at ** 3, depthRoot: Math.sqrt(at),
    headsPerDim: numHeads / dim, hiddenPerDim: hiddenDim / dim, dimPerLayer: dim / depth, headsPerLayer: numHeads / depth,
    logDim: Math.log(dim), layerTimesDepth: layer * depth,
    ...(rotaryBase !== undefined && { rotaryBase }), ...(rotaryShare !== undefined && { rotaryShare }),
  };
}
