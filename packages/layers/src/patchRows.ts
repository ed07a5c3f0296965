import { checkDtype, checkInteger, checkRank, checkShape, ShapeError } from '@evenkeel/core-tensor';
import { reshape, tidy, transpose, type Tensor, type Tensor2D, type Tensor3D, type Tensor4D } from '@tensorflow/tfjs-core';

/**
 * patchRows — an image as the sequence of its square patches: patches row by row, and in each the values in the order (y, x, channel).
 *
 *     rows[b, (i, j), (y, x, c)] = images[b, i·p + y, j·p + x, c]
 *
 * A linear map of these rows is a convolution with stride `patchSize`; `patchWeight` converts the weight of one.
 *
 * @param images     `b h w c` — float32.
 * @param patchSize  p; divides h and w.
 * @returns          `b (h/p · w/p) (p · p · c)`, owned by the caller.
 * @throws ShapeError  if `images` has another rank or dtype, or p does not divide its height and width.
 */
export function patchRows(images: Tensor, patchSize: number): Tensor3D {
  checkRank('patchRows', 'images', images, 4);
  checkDtype('patchRows', 'images', images, 'float32');
  checkInteger('patchRows', 'patchSize', patchSize);
  const [B, H, W, C] = images.shape as [number, number, number, number];
  if (H % patchSize !== 0 || W % patchSize !== 0) {
    throw new ShapeError(`patchRows: images must have height and width divisible by patchSize, got ${H} × ${W} and ${patchSize}`);
  }
  const [rows, columns] = [H / patchSize, W / patchSize];
  return tidy('patchRows', () => {
    const cells = reshape(images, [B * rows, patchSize, columns, patchSize * C]); // bi y j xc
    return reshape(transpose(cells, [0, 2, 1, 3]), [B, rows * columns, patchSize * patchSize * C]);
  });
}

/**
 * imagesFromPatches — the images whose `patchRows` these are.
 *
 * @param rows  `b n (p · p · c)`.
 * @param size  `{ height, width, patchSize }` of the images.
 * @returns     `b h w c`, owned by the caller.
 * @throws ShapeError  if `rows` has not as many patches as such images have.
 */
export function imagesFromPatches(rows: Tensor, { height, width, patchSize }: { height: number; width: number; patchSize: number }): Tensor4D {
  const [down, across] = [height / patchSize, width / patchSize];
  checkShape('imagesFromPatches', 'rows', rows, [null, down * across, null]);
  const [B, , inside] = rows.shape as [number, number, number];
  return tidy('imagesFromPatches', () => {
    const cells = reshape(rows, [B * down, across, patchSize, inside / patchSize]); // bi j y xc
    return reshape(transpose(cells, [0, 2, 1, 3]), [B, height, width, inside / (patchSize * patchSize)]);
  });
}

/** patchWeight — the weight `d (p · p · c)` that does to `patchRows` what a convolution's weight `d c p p`, as PyTorch stores it, does to the image. */
export function patchWeight(convolution: Tensor): Tensor2D {
  checkRank('patchWeight', 'convolution', convolution, 4);
  return tidy('patchWeight', () => reshape(transpose(convolution, [0, 2, 3, 1]), [convolution.shape[0] as number, -1]));
}

/** patchWeightToConvolution — the other direction of `patchWeight`: `d (p · p · c)` to `d c p p`. */
export function patchWeightToConvolution(weight: Tensor, patchSize: number): Tensor4D {
  checkRank('patchWeightToConvolution', 'weight', weight, 2);
  const [D, inside] = weight.shape as [number, number];
  checkShape('patchWeightToConvolution', 'weight', weight, [null, patchSize * patchSize * Math.ceil(inside / patchSize ** 2)]);
  return tidy('patchWeightToConvolution', () => transpose(reshape(weight, [D, patchSize, patchSize, inside / patchSize ** 2]), [0, 3, 1, 2]));
}
