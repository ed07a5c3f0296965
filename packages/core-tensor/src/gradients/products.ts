import {
  add, concat, cumprod, mul, pad, reshape, reverse, slice, transpose, util, zeros, type GradConfig, type Tensor,
} from '@tensorflow/tfjs-core';
import { attr, unary, type Attrs } from './config.ts';

const sizeOf = (shape: readonly number[]): number => util.sizeFromShape([...shape]);
const columns = (x: Tensor, begin: number, count: number): Tensor => slice(x, [0, begin], [x.shape[0] as number, count]);
const padded = (x: Tensor, before: number, after: number, value: number): Tensor => pad(x, [[0, 0], [before, after]], value);

/** Moves `axes` to the end and flattens to `rows columns`; `back` undoes it. */
function asRows(x: Tensor, axes: readonly number[]): { rows: Tensor; back: (rows: Tensor) => Tensor } {
  const outer = x.shape.map((_, axis) => axis).filter((axis) => !axes.includes(axis));
  const perm = [...outer, ...axes];
  const moved = transpose(x, perm);
  const width = sizeOf(axes.map((axis) => x.shape[axis] as number));
  return {
    rows: reshape(moved, [sizeOf(outer.map((axis) => x.shape[axis] as number)), width]),
    back: (rows) => transpose(reshape(rows, moved.shape), perm.map((_, axis) => perm.indexOf(axis))),
  };
}

/**
 * productOfOthers — for each element of a row, `scale` times the product of all other elements: exact where elements are 0.
 *
 * A binary tree: the halves of a row are multiplied, and the product of the others comes down through the same pairs.
 */
function productOfOthers(rows: Tensor, scale: Tensor): Tensor {
  const [count, width] = rows.shape as [number, number];
  if (width === 1) return scale;
  const half = Math.ceil(width / 2);
  const [left, right] = [columns(rows, 0, half), padded(columns(rows, half, width - half), 0, 2 * half - width, 1)];
  const above = productOfOthers(mul(left, right), scale);
  return slice(concat([mul(above, right), mul(above, left)], 1), [0, 0], [count, width]);
}

function prodGrad(dy: Tensor, x: Tensor, attrs: Attrs): Tensor {
  const axes = util.parseAxisParam(attr<number[]>(attrs, 'axis'), x.shape);
  if (x.size === 0) return zeros(x.shape);
  const { rows, back } = asRows(x, axes);
  return back(productOfOthers(rows, reshape(dy, [rows.shape[0] as number, 1])));
}

/** Solves h[k] = b[k] + a[k]·h[k+1] for every k along the rows, from the end, in log₂ steps. */
function scanFromEnd(a: Tensor, b: Tensor): Tensor {
  const width = b.shape[1] as number;
  let [factor, sum] = [a, b];
  for (let step = 1; step < width; step *= 2) {
    const shifted = (x: Tensor): Tensor => padded(columns(x, step, width - step), 0, step, 0);
    sum = add(sum, mul(factor, shifted(sum)));
    factor = mul(factor, shifted(factor));
  }
  return sum;
}

/** d/dx[k] = (product before k) · h[k] with h[k] = dy[k] + x[k+1]·h[k+1]: no division, so zeros are no exception. */
function cumprodGrad(dy: Tensor, x: Tensor, attrs: Attrs): Tensor {
  const axis = util.parseAxisParam(attr<number>(attrs, 'axis'), x.shape)[0] as number;
  const isReversed = attr<boolean>(attrs, 'reverse');
  const { rows, back } = asRows(isReversed ? reverse(x, axis) : x, [axis]);
  const width = rows.shape[1] as number;
  const dRows = asRows(isReversed ? reverse(dy, axis) : dy, [axis]).rows;
  const next = (values: Tensor, last: number): Tensor => padded(columns(values, 1, width - 1), 0, 1, last);
  const before = cumprod(rows, 1, true);
  const h = scanFromEnd(next(rows, 0), attr<boolean>(attrs, 'exclusive') ? next(dRows, 0) : dRows);
  const dx = back(mul(before, h));
  return isReversed ? reverse(dx, axis) : dx;
}

/** productGradients — products along axes. */
export const productGradients: readonly GradConfig[] = [unary('Prod', prodGrad), unary('Cumprod', cumprodGrad)];
