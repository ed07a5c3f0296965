import { checkDivisible, checkInteger, checkOneOf, checkPositive, checkProbability } from '@evenkeel/core-tensor';

const ACTIVATIONS = ['gelu', 'geluTanh', 'silu'] as const;

/** VitActivation — the MLP's nonlinearity: ViT uses GELU by the error function. */
export type VitActivation = (typeof ACTIVATIONS)[number];

/** VitConfig — the sizes of a vision transformer, plain data that a checkpoint can hold. Techniques are given separately, as values. */
export type VitConfig = {
  /** Pixels along both sides of the images for which positions are learned; a multiple of `patchSize`. */
  readonly imageSize: number;
  /** Pixels along both sides of a patch. */
  readonly patchSize: number;
  /** Default 3. */
  readonly channels: number;
  readonly numClasses: number;
  /** Number of transformer blocks. */
  readonly depth: number;
  /** Channels of the residual stream. */
  readonly dim: number;
  readonly numHeads: number;
  /** Channels inside the MLP. Default 4 · dim. */
  readonly hiddenDim: number;
  /** Default `gelu`. */
  readonly activation: VitActivation;
  /** Probability of dropping, after the embedding and on both residual branches. Default 0. */
  readonly dropout: number;
  /** Added to the variance in LayerNorm. Default 1e-6, as in timm. */
  readonly normEps: number;
  /** Whether a distillation token with a head of its own stands beside the class token, as in DeiT. Default false. */
  readonly distilled: boolean;
};

/** VitSizes — what a caller must say; the rest of VitConfig has defaults. */
export type VitSizes = Pick<VitConfig, 'imageSize' | 'patchSize' | 'numClasses' | 'depth' | 'dim' | 'numHeads'> & Partial<VitConfig>;

/**
 * vitConfig — a checked configuration with the defaults of ViT filled in.
 *
 * @throws ConfigError  if a size is not a positive integer, `imageSize` not divisible by `patchSize`, or `dim` not by `numHeads`.
 */
export function vitConfig(sizes: VitSizes): VitConfig {
  const { imageSize, patchSize, numClasses, depth, dim, numHeads } = sizes;
  const config: VitConfig = {
    imageSize, patchSize, channels: sizes.channels ?? 3, numClasses, depth, dim, numHeads,
    hiddenDim: sizes.hiddenDim ?? 4 * dim,
    activation: sizes.activation ?? 'gelu',
    dropout: sizes.dropout ?? 0,
    normEps: sizes.normEps ?? 1e-6,
    distilled: sizes.distilled ?? false,
  };
  for (const name of ['imageSize', 'patchSize', 'channels', 'numClasses', 'depth', 'dim', 'numHeads', 'hiddenDim'] as const) checkInteger('vit', name, config[name]);
  checkDivisible('vit', 'imageSize', imageSize, 'patchSize', patchSize);
  checkDivisible('vit', 'dim', dim, 'numHeads', numHeads);
  checkOneOf('vit', 'activation', config.activation, ACTIVATIONS);
  checkProbability('vit', 'dropout', config.dropout);
  checkPositive('vit', 'normEps', config.normEps);
  return Object.freeze(config);
}

/** prefixTokens — how many tokens stand before the patches. */
export const prefixTokens = ({ distilled }: Pick<VitConfig, 'distilled'>): number => (distilled ? 2 : 1);
