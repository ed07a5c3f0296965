// One tile of attention's backward pass, recomputed from q, k and lse: what the gradients of q, k and v and that of the bias share.
//
// A thread's scratch: keys and values of the tile, each d × 64 and transposed; then p and ds, each 16 × 64; then the slopes of the soft cap
// in one row, and random bits.
import { floatArg, intArg, pointerArg } from './args';
import {
  addTerms, BLOCK, drawRow, exponentials, firstKey, hasBlockMask, hasCap, hasDropout, hasTerms, hideBlocks, isTileKept, keepRow, keyAt, lastKey, lseAt, outAt, queryAt,
  seenColumns, STRIP,
} from './attentionTile';
import { sumLanes } from './exp';
import { madd, splat } from './simd';
import { tileGemm, transposeInto } from './tileGemm';

/** Bytes of a row of p and ds. */
export const TILE_ROW: usize = BLOCK << 2;
const TILE: usize = <usize>STRIP * TILE_ROW;

/** weightsIn — where a thread's tile of p lies. */
export function weightsIn(scratch: usize, d: i32): usize {
  return scratch + 2 * <usize>d * TILE_ROW;
}

/** gradientsIn — where a thread's tile of ds lies. */
export function gradientsIn(scratch: usize, d: i32): usize {
  return weightsIn(scratch, d) + TILE;
}

/** loadKeys — the keys and values from `start` on, transposed into scratch. */
export function loadKeys(args: usize, batch: i32, kvHead: i32, start: i32, scratch: usize): void {
  const d = intArg(args, 9);
  const columns = min(BLOCK, intArg(args, 6) - start);
  const at = keyAt(args, batch, kvHead, start);
  const row = <usize>intArg(args, 14) << 2;
  transposeInto(columns, d, pointerArg(args, 1) + at, row, scratch, TILE_ROW);
  transposeInto(columns, d, pointerArg(args, 2) + at, row, scratch + <usize>d * TILE_ROW, TILE_ROW);
}

/** tileColumns — how many keys of the tile from `start` on the strip of queries from `first` on has to do with; 0: none. */
export function tileColumns(args: usize, first: i32, start: i32): i32 {
  const t = intArg(args, 5), s = intArg(args, 6);
  const rows = min(STRIP, t - first);
  const seen = seenColumns(first + rows - 1, s - t, intArg(args, 12), s, start, min(BLOCK, s - start));
  if (seen == 0 || firstKey(first, s - t, intArg(args, 11)) >= start + seen) return 0;
  return hasBlockMask(args) && !isTileKept(args, first, rows, start, seen) ? 0 : seen;
}

/**
 * gradTile — p = e^(score − lse), with dropout acting on it, and ds = p ∘ (dp − rowsum(dy ∘ out)) with p before dropout, for at most 16
 * queries from `first` on and the `columns` loaded keys from `start` on. dp = dy·vᵀ, where dropout has let it through. `ofProducts`: ds is
 * brought from the scores back to the products, by the scale and the slopes of the cap.
 */
export function gradTile(args: usize, batch: i32, head: i32, first: i32, start: i32, columns: i32, ofProducts: bool, scratch: usize): void {
  const t = intArg(args, 5), s = intArg(args, 6), d = intArg(args, 9);
  const left = intArg(args, 11), right = intArg(args, 12);
  const rows = min(STRIP, t - first);
  const qRow = <usize>intArg(args, 13) << 2;
  const outRow = <usize>(intArg(args, 7) * d) << 2;
  const terms = hasTerms(args), drops = hasDropout(args), blocks = hasBlockMask(args);
  const factor: f32 = ofProducts ? floatArg(args, 10) : 1;
  const scale = terms ? <f32>1 : floatArg(args, 10);
  const p = weightsIn(scratch, d);
  const ds = gradientsIn(scratch, d);
  const capSlopes = ds + TILE, randoms = capSlopes + TILE_ROW;
  const at = outAt(args, batch, head, first);
  const dy = pointerArg(args, 36) + at;
  const out = pointerArg(args, 3) + at;
  const lse = pointerArg(args, 4) + lseAt(args, batch, head, first);
  memory.fill(p, 0, 2 * TILE);
  tileGemm(rows, columns, d, pointerArg(args, 0) + queryAt(args, batch, head, first), qRow, 4, scratch, TILE_ROW, p, TILE_ROW);
  tileGemm(rows, columns, d, dy, outRow, 4, scratch + <usize>d * TILE_ROW, TILE_ROW, ds, TILE_ROW);
  for (let i = 0; i < rows; i++) {
    const low = min(columns, max(0, firstKey(first + i, s - t, left) - start));
    const count = max(0, min(columns - 1, lastKey(first + i, s - t, right, s) - start) + 1 - low);
    const pRow = p + <usize>i * TILE_ROW, dsRow = ds + <usize>i * TILE_ROW;
    hideOthers(pRow, columns, low, count);
    hideOthers(dsRow, columns, low, count);
    if (count == 0) continue;
    if (terms) addTerms(args, batch, head, first + i, start, pRow, low, low + count - 1, capSlopes);
    if (blocks) hideBlocks(args, first + i, start, pRow, low, low + count - 1);
    exponentials(pRow, low, low + count - 1, scale, load<f32>(lse + (<usize>i << 2)));
    const bits = drops ? drawRow(args, batch, head, first + i, start + low, count, randoms) : 0;
    const from = <usize>low << 2;
    if (drops) keepRow(args, dsRow + from, count, bits);
    scoreGradient(pRow + from, dsRow + from, count, factor, dot(dy + <usize>i * outRow, out + <usize>i * outRow, d));
    if (ofProducts && hasCap(args)) multiply(dsRow + from, capSlopes + from, count);
    if (drops) keepRow(args, pRow + from, count, bits);
  }
}

/** Zeros in a row's columns around the `count` that its query sees. */
function hideOthers(row: usize, columns: i32, low: i32, count: i32): void {
  memory.fill(row, 0, <usize>low << 2);
  memory.fill(row + (<usize>(low + count) << 2), 0, <usize>(columns - low - count) << 2);
}

/** dp becomes ds = factor · p ∘ (dp − delta). */
function scoreGradient(p: usize, ds: usize, count: i32, factor: f32, delta: f32): void {
  const factor4 = splat(factor), delta4 = splat(delta);
  let i = 0;
  for (; i + 4 <= count; i += 4, p += 16, ds += 16) {
    v128.store(ds, f32x4.mul(f32x4.mul(factor4, v128.load(p)), f32x4.sub(v128.load(ds), delta4)));
  }
  for (; i < count; i++, p += 4, ds += 4) store<f32>(ds, factor * load<f32>(p) * (load<f32>(ds) - delta));
}

function multiply(x: usize, y: usize, count: i32): void {
  let i = 0;
  for (; i + 4 <= count; i += 4, x += 16, y += 16) v128.store(x, f32x4.mul(v128.load(x), v128.load(y)));
  for (; i < count; i++, x += 4, y += 4) store<f32>(x, load<f32>(x) * load<f32>(y));
}

function dot(a: usize, b: usize, count: i32): f32 {
  let total = splat(0);
  let i = 0;
  for (; i + 4 <= count; i += 4, a += 16, b += 16) total = madd(v128.load(a), v128.load(b), total);
  let sum = sumLanes(total);
  for (; i < count; i++, a += 4, b += 4) sum += load<f32>(a) * load<f32>(b);
  return sum;
}
