// Layers with a spectral norm of their own (arXiv:2303.06296): what is neither a product nor a sum of tensors.
import { floatArg, intArg, pointerArg } from './args';
import { sumLanes } from './exp';
import { RUN } from './reduce';
import { loadSplat, madd, splat } from './simd';

/** Elements of a chunk of `innerProducts`. */
const CHUNK: i32 = 16384;

/** innerProducts — the sum of x·y over one chunk. args: 0 x, 1 y, 2 sums, one float per chunk, 3 count. */
export function innerProducts(chunk: i32, args: usize, scratch: usize): void {
  const first = chunk * CHUNK;
  const place = <usize>first << 2;
  const sum = productsOf(pointerArg(args, 0) + place, pointerArg(args, 1) + place, min(CHUNK, intArg(args, 3) - first));
  store<f32>(pointerArg(args, 2) + (<usize>chunk << 2), sum);
}

/** Σ x·y, by halves as `sumOf`. */
function productsOf(x: usize, y: usize, count: i32): f32 {
  if (count > RUN) {
    const half = ((count / 2 + RUN - 1) / RUN) * RUN;
    return productsOf(x, y, half) + productsOf(x + (<usize>half << 2), y + (<usize>half << 2), count - half);
  }
  let total = splat(0);
  let i = 0;
  for (; i + 4 <= count; i += 4, x += 16, y += 16) total = madd(v128.load(x), v128.load(y), total);
  let sum = sumLanes(total);
  for (; i < count; i++, x += 4, y += 4) sum += load<f32>(x) * load<f32>(y);
  return sum;
}

/**
 * scaledWithoutOuter — a·x − b·u vᵀ for a chunk of rows.
 * args: 0 x, 1 u, 2 v, 3 y, 4 rows, 5 columns, 6 a, 7 b, 8 rows per chunk.
 */
export function scaledWithoutOuter(chunk: i32, args: usize, scratch: usize): void {
  const columns = intArg(args, 5), perChunk = intArg(args, 8);
  const end = min((chunk + 1) * perChunk, intArg(args, 4));
  const a = splat(floatArg(args, 6)), b = floatArg(args, 7);
  for (let row = chunk * perChunk; row < end; row++) {
    const start = (<usize>row * <usize>columns) << 2;
    let x = pointerArg(args, 0) + start, y = pointerArg(args, 3) + start, v = pointerArg(args, 2);
    const left = splat(-b * load<f32>(pointerArg(args, 1) + (<usize>row << 2)));
    let i = 0;
    for (; i + 4 <= columns; i += 4, x += 16, y += 16, v += 16) v128.store(y, madd(left, v128.load(v), f32x4.mul(a, v128.load(x))));
    for (; i < columns; i++, x += 4, y += 4, v += 4) v128.store_lane<f32>(y, madd(left, loadSplat(v), f32x4.mul(a, loadSplat(x))), 0);
  }
}
