import { checkInteger, checkOneOf, checkRank, ShapeError } from '@evenkeel/core-tensor';
import { clone, concat, matMul, reshape, slice, tensor, tidy, type Tensor, type Tensor2D } from '@tensorflow/tfjs-core';

export type ResizePositionsOptions = {
  /** Patches of an image, rows and columns, for which `positions` are. */
  from: readonly [rows: number, columns: number];
  /** Patches for which they are wanted. */
  to: readonly [rows: number, columns: number];
  /** Positions before those of the patches (class token), which stay. Default 0. */
  prefix?: number;
  /** Default `bicubic`. */
  method?: 'bicubic' | 'bilinear';
};

/**
 * resizePositions — learned positions of a grid of patches, for a grid of another size: each channel is resized as an image.
 *
 * As PyTorch's `interpolate(mode, align_corners=False)` without anti-aliasing: the place of target i is (i + ½)·from/to − ½, borders repeat,
 * and the cubic kernel has a = −0.75. Differentiable.
 *
 * @param positions  `(prefix + rows · columns) c`.
 * @returns          `(prefix + rows′ · columns′) c`, owned by the caller.
 * @throws ShapeError   if `positions` is not as long as `from` and `prefix` say.
 * @throws ConfigError  if a size is not a positive integer or `method` is unknown.
 *
 * Source: Dosovitskiy et al. 2020, arXiv:2010.11929, §3.2; bicubic as in DeiT, arXiv:2012.12877, §3.
 */
export function resizePositions(positions: Tensor, { from, to, prefix = 0, method = 'bicubic' }: ResizePositionsOptions): Tensor2D {
  checkRank('resizePositions', 'positions', positions, 2);
  for (const [name, value] of [['from', from[0]], ['from', from[1]], ['to', to[0]], ['to', to[1]]] as const) checkInteger('resizePositions', name, value);
  checkOneOf('resizePositions', 'method', method, ['bicubic', 'bilinear']);
  const [length, C] = positions.shape as [number, number];
  if (length !== prefix + from[0] * from[1]) {
    throw new ShapeError(`resizePositions: positions must have ${prefix} + ${from[0]} · ${from[1]} rows, got ${length}`);
  }
  if (from[0] === to[0] && from[1] === to[1]) return clone(positions as Tensor2D);
  return tidy('resizePositions', () => {
    const [rowMap, columnMap] = [axisMap(from[0], to[0], method), axisMap(from[1], to[1], method)];
    const grid = reshape(slice(positions, [prefix, 0]), [from[0], from[1] * C]); // i jc
    const tall = reshape(matMul(rowMap, grid), [to[0], from[1], C]); // i′ j c
    const wide = matMul(reshape(columnMap, [1, to[1], from[1]]), tall); // i′ j′ c
    const resized = reshape(wide, [to[0] * to[1], C]);
    return (prefix === 0 ? resized : concat([slice(positions, [0, 0], [prefix, C]), resized], 0)) as Tensor2D;
  });
}

/** The linear map `to from` of one axis. */
function axisMap(from: number, to: number, method: 'bicubic' | 'bilinear'): Tensor2D {
  const weights = new Float32Array(to * from);
  for (let i = 0; i < to; i++) {
    const at = ((i + 0.5) * from) / to - 0.5;
    const first = Math.floor(at);
    const taps = method === 'bicubic' ? [-1, 0, 1, 2] : [0, 1];
    for (const tap of taps) {
      const index = i * from + Math.min(Math.max(first + tap, 0), from - 1);
      weights[index] = (weights[index] as number) + KERNELS[method](Math.abs(at - first - tap));
    }
  }
  return tensor(weights, [to, from]) as Tensor2D;
}

const A = -0.75;

/** The weight of a value at a distance. */
const KERNELS = {
  bilinear: (distance: number): number => Math.max(0, 1 - distance),
  bicubic: (distance: number): number => (distance <= 1
    ? ((A + 2) * distance - (A + 3)) * distance * distance + 1
    : ((A * distance - 5 * A) * distance + 8 * A) * distance - 4 * A),
} as const;
