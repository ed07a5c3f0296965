// What attention's forward and backward pass share: where rows lie, which keys a query sees, and how scores are adjusted.
//
// args of all attention kernels (floats are counted from one row to the next, so that q, k and v may lie in one packed tensor):
//   0 q, 1 k, 2 v, 3 out (b t h d), 4 lse (b h t), 5 t, 6 s, 7 heads, 8 kvHeads, 9 d, 10 scale,
//   11 keys visible to the left of the aligned position (−1: all), 12 to the right (causal: 0),
//   13 floats per row of q, 14 of k and v,
//   15 ALiBi slopes (0: none), 16 floats per batch entry of slopes (0: the same for all),
//   17 bias (0: none), 18 to 21 floats from one batch entry, head, query, key of bias to the next (0: broadcast),
//   22 dropout's threshold (u32; 0: no dropout), 23 its factor 1 / (1 − rate), 24 key0, 25 key1 (u32),
//   26 soft cap (0: none), 27 block mask (i32; 0: none), 28 queries, 29 keys of one of its blocks, 30 blocks per row of it,
//   31 where there are sequences of different lengths one after another (`ofSequence`; 0: b of one length), 32 rows of lse for each head (t),
//   33 columns of its random bits (s), and 34, 35 the rows at which the sequence's queries and keys begin (0);
//   in the backward pass: 36 dy (b t h d); each kernel's own come next.
import { floatArg, intArg, pointerArg, setIntArg, setPointerArg } from './args';
import { exp, sumLanes } from './exp';
import { tanh } from './math';
import { madd, splat } from './simd';
import { keepWhere, randomBits } from './threefry';

/** Queries, keys per tile. */
export const BLOCK: i32 = 64;
/** Queries that meet a tile's keys together: each such strip leaves out the keys after the last that its queries see. */
export const STRIP: i32 = 16;
/** Bytes of scratch for the random bits of one row of a tile. */
export const BITS_BYTES: usize = (BLOCK + 16) << 2;

/** VIEW — bytes of a copy of the arguments (MAX_ARGS of src/threadPool.ts). */
export const VIEW: usize = 64 << 3;

/**
 * ofSequence — a copy of args, made in `view`, in which sequence number `index` is the only batch entry. Of each sequence there are four i32:
 * its first query row, the row after its last one, and the same of its keys; t and s of args are those of the longest.
 */
export function ofSequence(args: usize, index: i32, view: usize): usize {
  const sequence = pointerArg(args, 31) + (<usize>index << 4);
  const query = load<i32>(sequence), key = load<i32>(sequence, 8);
  memory.copy(view, args, VIEW);
  setIntArg(view, 5, load<i32>(sequence, 4) - query);
  setIntArg(view, 6, load<i32>(sequence, 12) - key);
  setIntArg(view, 34, query);
  setIntArg(view, 35, key);
  if (pointerArg(args, 15) != 0) setPointerArg(view, 15, pointerArg(args, 15) + (<usize>(index * intArg(args, 16)) << 2));
  return view;
}

// @ts-ignore: decorator
@inline
export function hasSequences(args: usize): bool {
  return pointerArg(args, 31) != 0;
}

/** Visible keys of query `i`: [firstKey, lastKey] ∩ [0, s); bottom-right aligned. */
// @ts-ignore: decorator
@inline
export function firstKey(i: i32, offset: i32, left: i32): i32 {
  return left < 0 ? 0 : max(0, i + offset - left);
}

// @ts-ignore: decorator
@inline
export function lastKey(i: i32, offset: i32, right: i32, s: i32): i32 {
  return right < 0 ? s - 1 : min(s - 1, i + offset + right);
}

/** seenColumns — how many of a tile's `columns` keys, from the first on, the queries up to `i` see; a multiple of 8 where it can be. */
// @ts-ignore: decorator
@inline
export function seenColumns(i: i32, offset: i32, right: i32, s: i32, start: i32, columns: i32): i32 {
  return max(0, min(columns, (lastKey(i, offset, right, s) - start + 8) & ~7));
}

/** queryAt — bytes from the start of q (or dq) to row `i` of a head. */
export function queryAt(args: usize, batch: i32, head: i32, i: i32): usize {
  return (<usize>(batch * intArg(args, 5) + intArg(args, 34) + i) * <usize>intArg(args, 13) + <usize>(head * intArg(args, 9))) << 2;
}

/** keyAt — bytes from the start of k, v (or dk, dv) to row `j` of a head. */
export function keyAt(args: usize, batch: i32, kvHead: i32, j: i32): usize {
  return (<usize>(batch * intArg(args, 6) + intArg(args, 35) + j) * <usize>intArg(args, 14) + <usize>(kvHead * intArg(args, 9))) << 2;
}

/** outAt — bytes from the start of out (or dy) to row `i` of a head. */
export function outAt(args: usize, batch: i32, head: i32, i: i32): usize {
  const heads = intArg(args, 7), d = intArg(args, 9);
  return (<usize>(batch * intArg(args, 5) + intArg(args, 34) + i) * <usize>(heads * d) + <usize>(head * d)) << 2;
}

/** lseAt — bytes from the start of lse to query `i` of a head. */
export function lseAt(args: usize, batch: i32, head: i32, i: i32): usize {
  return <usize>((batch * intArg(args, 7) + head) * intArg(args, 32) + intArg(args, 34) + i) << 2;
}

/** hasTerms — whether scores are more than products: capped, or with a bias or ALiBi's distances added to them. */
// @ts-ignore: decorator
@inline
export function hasTerms(args: usize): bool {
  return pointerArg(args, 15) != 0 || pointerArg(args, 17) != 0 || hasCap(args);
}

// @ts-ignore: decorator
@inline
export function hasCap(args: usize): bool {
  return floatArg(args, 26) != 0;
}

// @ts-ignore: decorator
@inline
export function hasDropout(args: usize): bool {
  return <u32>pointerArg(args, 22) != 0;
}

/**
 * addTerms — products of query `i` with the keys from `start` on become scores: cap(scale · product) − slope · |i + s − t − j| + bias, in
 * columns low … high. Their scale is 1 from then on. The slopes of the cap go to the columns of `capSlopes`, if there is a cap.
 *
 * Source: ALiBi is Press et al. 2021, arXiv:2108.12409, here with the distance to both sides.
 */
export function addTerms(args: usize, batch: i32, head: i32, i: i32, start: i32, row: usize, low: i32, high: i32, capSlopes: usize): void {
  const scale = floatArg(args, 10), softcap = floatArg(args, 26);
  if (softcap != 0) capRow(row, capSlopes, low, high, scale / softcap, softcap);
  const slopes = pointerArg(args, 15);
  const slope = slopes == 0 ? <f32>0 : load<f32>(slopes + (<usize>(batch * intArg(args, 16) + head) << 2));
  const position = <f32>(i + intArg(args, 6) - intArg(args, 5) - start);
  addDistances(row, low, high, softcap == 0 ? scale : 1, slope, position);
  const bias = pointerArg(args, 17);
  if (bias != 0) addBias(row, low, high, bias + biasAt(args, batch, head, i, start), intArg(args, 21));
}

/** Products x become softcap · tanh(factor · x), whose slopes are 1 − tanh². */
function capRow(row: usize, slopes: usize, low: i32, high: i32, factor: f32, softcap: f32): void {
  const factor4 = splat(factor), softcap4 = splat(softcap);
  let j = low;
  for (; j + 3 <= high; j += 4) {
    const at = <usize>j << 2;
    const y = tanh(f32x4.mul(v128.load(row + at), factor4));
    v128.store(row + at, f32x4.mul(y, softcap4));
    v128.store(slopes + at, f32x4.sub(splat(1), f32x4.mul(y, y)));
  }
  for (; j <= high; j++) {
    const at = <usize>j << 2;
    const y = f32x4.extract_lane(tanh(splat(load<f32>(row + at) * factor)), 0);
    store<f32>(row + at, y * softcap);
    store<f32>(slopes + at, 1 - y * y);
  }
}

function addDistances(row: usize, low: i32, high: i32, scale: f32, slope: f32, position: f32): void {
  const scale4 = splat(scale), slope4 = splat(slope);
  let distance = f32x4.sub(splat(position - <f32>low), f32x4(0, 1, 2, 3));
  let j = low;
  for (; j + 3 <= high; j += 4) {
    const at = row + (<usize>j << 2);
    v128.store(at, f32x4.sub(f32x4.mul(v128.load(at), scale4), f32x4.mul(slope4, f32x4.abs(distance))));
    distance = f32x4.sub(distance, splat(4));
  }
  for (; j <= high; j++) {
    const at = row + (<usize>j << 2);
    store<f32>(at, load<f32>(at) * scale - slope * abs(position - <f32>j));
  }
}

/** `step`: 1 where the bias has a value for each key, 0 where it has one for all. */
function addBias(row: usize, low: i32, high: i32, bias: usize, step: i32): void {
  let j = low;
  for (; j + 3 <= high; j += 4) {
    const at = row + (<usize>j << 2);
    v128.store(at, f32x4.add(v128.load(at), step == 0 ? v128.load_splat<f32>(bias) : v128.load(bias + (<usize>j << 2))));
  }
  for (; j <= high; j++) {
    const at = row + (<usize>j << 2);
    store<f32>(at, load<f32>(at) + load<f32>(bias + (<usize>(j * step) << 2)));
  }
}

/** biasAt — bytes from the start of bias (or its gradient) to what it has for query `i` and key `j`. */
export function biasAt(args: usize, batch: i32, head: i32, i: i32, j: i32): usize {
  return (<usize>batch * <usize>intArg(args, 18) + <usize>head * <usize>intArg(args, 19) + <usize>i * <usize>intArg(args, 20) + <usize>j * <usize>intArg(args, 21)) << 2;
}

// @ts-ignore: decorator
@inline
export function hasBlockMask(args: usize): bool {
  return pointerArg(args, 27) != 0;
}

/** isTileKept — whether the block mask keeps any block that `rows` queries from `first` on and `columns` keys from `start` on touch. */
export function isTileKept(args: usize, first: i32, rows: i32, start: i32, columns: i32): bool {
  const blockQ = intArg(args, 28), blockK = intArg(args, 29);
  for (let row = first / blockQ; row <= (first + rows - 1) / blockQ; row++) {
    for (let column = start / blockK; column <= (start + columns - 1) / blockK; column++) if (isKept(args, row, column)) return true;
  }
  return false;
}

// @ts-ignore: decorator
@inline
function isKept(args: usize, row: i32, column: i32): bool {
  return load<i32>(pointerArg(args, 27) + (<usize>(row * intArg(args, 30) + column) << 2)) != 0;
}

/**
 * hideBlocks — −Infinity for the scores of query `i` in columns low … high (keys from `start` on) that the block mask leaves out.
 * Returns whether any are left.
 */
export function hideBlocks(args: usize, i: i32, start: i32, row: usize, low: i32, high: i32): bool {
  const blockK = intArg(args, 29), blockRow = i / intArg(args, 28);
  let sees = false;
  for (let j = low; j <= high;) {
    const block = (start + j) / blockK;
    const end = min(high + 1, (block + 1) * blockK - start);
    if (isKept(args, blockRow, block)) sees = true;
    else for (let hidden = j; hidden < end; hidden++) store<f32>(row + (<usize>hidden << 2), -Infinity);
    j = end;
  }
  return sees;
}

/** drawRow — the random bits of query `i` and `count` keys from `key` on: those of their elements of `b h t s`, or of `h n maxSeqlenK`. Returns where they start. */
export function drawRow(args: usize, batch: i32, head: i32, i: i32, key: i32, count: i32, to: usize): usize {
  const row = <u64>(batch * intArg(args, 7) + head) * <u64>intArg(args, 32) + <u64>(intArg(args, 34) + i);
  return randomBits(to, row * <u64>intArg(args, 33) + <u64>key, count, <u32>pointerArg(args, 24), <u32>pointerArg(args, 25));
}

/** keepRow — drops `count` weights from `row` on by their `bits` and enlarges the others. */
export function keepRow(args: usize, row: usize, count: i32, bits: usize): void {
  keepWhere(row, row, count, bits, <u32>pointerArg(args, 22), floatArg(args, 23));
}

/** exponentials — replaces columns low … high by e^(scale·score − shift) and returns their sum. */
export function exponentials(row: usize, low: i32, high: i32, scale: f32, shift: f32): f32 {
  const scale4 = splat(scale);
  const shift4 = splat(shift);
  let total = splat(0);
  let j = low;
  for (; j + 3 <= high; j += 4) {
    const at = row + (<usize>j << 2);
    const p = exp(f32x4.sub(f32x4.mul(v128.load(at), scale4), shift4));
    v128.store(at, p);
    total = f32x4.add(total, p);
  }
  let sum = sumLanes(total);
  for (; j <= high; j++) {
    const at = row + (<usize>j << 2);
    const p = f32x4.extract_lane(exp(splat(load<f32>(at) * scale - shift)), 0);
    store<f32>(at, p);
    sum += p;
  }
  return sum;
}

/** Below it e^x is 0. */
const LOWEST: f32 = -88;

/** exponentialsAndMoment — the same, bit by bit, and adds Σ e^x·x, where x = scale·score − shift, to the number at `moment`. */
export function exponentialsAndMoment(row: usize, low: i32, high: i32, scale: f32, shift: f32, moment: usize): f32 {
  const scale4 = splat(scale);
  const shift4 = splat(shift);
  let total = splat(0);
  let weighted = splat(0);
  let j = low;
  for (; j + 3 <= high; j += 4) {
    const at = row + (<usize>j << 2);
    const x = f32x4.sub(f32x4.mul(v128.load(at), scale4), shift4);
    const p = exp(x);
    v128.store(at, p);
    total = f32x4.add(total, p);
    weighted = madd(p, f32x4.pmax(splat(LOWEST), x), weighted); // 0 times −Infinity would be NaN
  }
  let sum = sumLanes(total);
  let weightedSum = sumLanes(weighted);
  for (; j <= high; j++) {
    const at = row + (<usize>j << 2);
    const x = load<f32>(at) * scale - shift;
    const p = f32x4.extract_lane(exp(splat(x)), 0);
    store<f32>(at, p);
    sum += p;
    weightedSum += p * max(LOWEST, x);
  }
  store<f32>(moment, load<f32>(moment) + weightedSum);
  return sum;
}

/** scaleRow — `count` floats from `row` on, times `factor`. */
export function scaleRow(row: usize, count: i32, factor: f32): void {
  const factor4 = splat(factor);
  let i = 0;
  for (; i + 4 <= count; i += 4, row += 16) v128.store(row, f32x4.mul(v128.load(row), factor4));
  for (; i < count; i++, row += 4) store<f32>(row, load<f32>(row) * factor);
}
