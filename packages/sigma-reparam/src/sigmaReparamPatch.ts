import {
  checkDivisible, checkDtype, checkInteger, checkLastDim, checkRank, ConfigError, type Layer, type LayerPlace,
} from '@evenkeel/core-tensor';
import { reshape, tidy, transpose, type Tensor, type Tensor4D } from '@tensorflow/tfjs-core';
import { linear } from './linear.ts';
import { matrixOf } from './matrixOf.ts';
import { checkOptions, spectralLayer, weightOf, weightSpec, type SigmaReparamOptions, type SigmaReparamParams } from './spectralLayer.ts';

export type SigmaReparamPatchOptions = SigmaReparamOptions & {
  /** Height and width of a patch in pixels, one number for both. */
  readonly patchSize: number | readonly [height: number, width: number];
};

/** PatchFactory — makes a map from images `b h w c` of `channels` channels to one vector of `dim` channels per patch, `b t dim`. */
export type PatchFactory = (channels: number, dim: number, place?: LayerPlace) => Layer;

/**
 * sigmaReparamPatch — the patch embedding of a vision transformer, a convolution whose stride is its size, with one learned number for the
 * spectral norm of its kernel as a matrix of c·h·w columns.
 *
 *     y[t] = (gamma / sigma) · W · patch[t] + bias        t from left to right, then from top to bottom
 *
 * @param options  `patchSize`; the others as those of `sigmaReparam`.
 * @returns        a PatchFactory; its layers have params `weight: dim c h w` (as in PyTorch), `gamma: 1` and `bias: dim`.
 * @throws ConfigError  if an option is unknown or out of range, or (when applied) the image is no whole number of patches or `options.state`
 *                      is missing.
 * @throws ShapeError   (when applied) if the images are not float32 `b h w c` with that many channels.
 *
 * Source: Zhai et al. 2023, arXiv:2303.06296, §3.2; Dosovitskiy et al. 2020, arXiv:2010.11929, §3.1.
 */
export function sigmaReparamPatch({ patchSize, ...options }: SigmaReparamPatchOptions): PatchFactory {
  checkOptions('sigmaReparamPatch', options);
  const [height, width] = checkedPair(patchSize);
  checkInteger('sigmaReparamPatch', 'patchSize', height);
  checkInteger('sigmaReparamPatch', 'patchSize', width);
  return (channels, dim, place = {}) => {
    checkInteger('sigmaReparamPatch', 'channels', channels);
    checkInteger('sigmaReparamPatch', 'dim', dim);
    const { outAxis = 'dim', inAxis = 'channels' } = place;
    const weight = weightSpec({ shape: [dim, channels, height, width], axes: `${outAxis} ${inAxis} height width`, fanIn: channels * height * width }, place);
    return {
      ...spectralLayer('sigmaReparamPatch', weight, options, place),
      apply: (images, params, call = {}) => {
        checkImages(images, [height, width, channels]);
        const { bias } = params as SigmaReparamParams;
        return tidy('sigmaReparamPatch', () => {
          const kernel = matrixOf(weightOf('sigmaReparamPatch', params, call)); // dim c·h·w
          return linear({ x: patches(images as Tensor4D, [height, width]), weight: kernel, bias }, { scale: 1 }); // b t dim
        });
      },
    };
  };
}

function checkedPair(patchSize: SigmaReparamPatchOptions['patchSize']): readonly [height: number, width: number] {
  if (typeof patchSize === 'number') return [patchSize, patchSize];
  if (Array.isArray(patchSize) && patchSize.length === 2) return patchSize as [number, number];
  throw new ConfigError(`sigmaReparamPatch: patchSize must be a number or a pair [height, width], got ${JSON.stringify(patchSize) ?? 'undefined'}`);
}

/** `b (H h) (W w) c` → `b (H W) (c h w)`: first by rows of patches, so that no tensor has more than five axes. */
function patches(images: Tensor4D, [height, width]: readonly [number, number]): Tensor {
  const [B, totalHeight, totalWidth, C] = images.shape;
  const [down, across] = [totalHeight / height, totalWidth / width];
  const rows = reshape(images, [B * down, height, across, width, C]); // b·H h W w c
  return reshape(transpose(rows, [0, 2, 4, 1, 3]), [B, down * across, C * height * width]);
}

function checkImages(images: Tensor, [height, width, channels]: readonly [number, number, number]): void {
  checkDtype('sigmaReparamPatch', 'images', images, 'float32');
  checkRank('sigmaReparamPatch', 'images', images, 4);
  checkLastDim('sigmaReparamPatch', 'images', images, channels);
  checkDivisible('sigmaReparamPatch', 'the height of the images', images.shape[1] as number, 'that of a patch', height);
  checkDivisible('sigmaReparamPatch', 'the width of the images', images.shape[2] as number, 'that of a patch', width);
}
