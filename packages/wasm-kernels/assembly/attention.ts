// Exact attention in linear memory (FlashAttention, arXiv:2205.14135; FlashAttention-2, arXiv:2307.08691), forward.
// A chunk is one block of queries of one head; scores exist only as one tile in the thread's scratch.
import { floatArg, intArg, pointerArg } from './args';
import {
  addTerms, BITS_BYTES, BLOCK, drawRow, exponentials, exponentialsAndMoment, firstKey, hasBlockMask, hasDropout, hasSequences, hasTerms, hideBlocks, isTileKept,
  keepRow, keyAt, lastKey, lseAt, ofSequence, outAt, queryAt, scaleRow, seenColumns, STRIP, VIEW,
} from './attentionTile';
import { exp1, maxLanes } from './exp';
import { tileGemm, transposeInto } from './tileGemm';

/** Bytes of what is kept of a query from tile to tile: see `startState`. */
const STATE: usize = 16;

// A thread's scratch: scores of a strip of queries, 16 × 64; the states of 64 queries; random bits; the slopes of the soft cap in one row,
// which are of no use here; the keys of a tile, d × 64 and transposed.
const STATES: usize = <usize>(STRIP * BLOCK) << 2;
const RANDOMS: usize = STATES + <usize>BLOCK * STATE;
const CAP_SLOPES: usize = RANDOMS + BITS_BYTES;
const KEYS: usize = CAP_SLOPES + (<usize>BLOCK << 2);

/**
 * attention — one block of 64 queries of one head. args as in attentionTile.ts, then 36 the largest score and 37 the entropy of each query's
 * weights (b h t; 0: not wanted), which change no bit of out and lse. Chunks: b · heads · ⌈t / 64⌉.
 */
export function attention(chunk: i32, args: usize, scratch: usize): void {
  const perHead = (intArg(args, 5) + BLOCK - 1) / BLOCK;
  const first = (chunk % perHead) * BLOCK;
  const head = (chunk / perHead) % intArg(args, 7);
  const batch = chunk / perHead / intArg(args, 7);
  if (hasSequences(args)) attendBlock(ofSequence(args, batch, scratch), 0, head, first, scratch + VIEW);
  else attendBlock(args, batch, head, first, scratch);
}

/** `first`: of the block's queries, of which a sequence may have none. */
function attendBlock(args: usize, batch: i32, head: i32, first: i32, scratch: usize): void {
  const t = intArg(args, 5), s = intArg(args, 6), heads = intArg(args, 7), d = intArg(args, 9), right = intArg(args, 12);
  const rows = min(BLOCK, t - first);
  if (rows <= 0) return;
  const kvRow = <usize>intArg(args, 14) << 2;
  const outRow = <usize>(heads * d) << 2;
  const k = pointerArg(args, 1) + keyAt(args, batch, head / (heads / intArg(args, 8)), 0);
  const out = pointerArg(args, 3) + outAt(args, batch, head, first);
  const blocks = hasBlockMask(args);
  const states = scratch + STATES;
  for (let i = 0; i < rows; i++) {
    memory.fill(out + <usize>i * outRow, 0, <usize>d << 2);
    startState(states + <usize>i * STATE);
  }
  const offset = s - t;
  const end = lastKey(first + rows - 1, offset, right, s);
  for (let start = (firstKey(first, offset, intArg(args, 11)) / BLOCK) * BLOCK; start <= end; start += BLOCK) {
    const columns = min(BLOCK, s - start);
    if (blocks && !isTileKept(args, first, rows, start, columns)) continue;
    transposeInto(columns, d, k + <usize>start * kvRow, kvRow, scratch + KEYS, BLOCK << 2);
    for (let strip = 0; strip < rows; strip += STRIP) {
      const count = min(STRIP, rows - strip);
      const seen = seenColumns(first + strip + count - 1, offset, right, s, start, columns);
      if (seen == 0 || (blocks && !isTileKept(args, first + strip, count, start, seen))) continue;
      addStrip(args, batch, head, first + strip, count, start, seen, states + <usize>strip * STATE, scratch);
    }
  }
  const at = lseAt(args, batch, head, first);
  for (let i = 0; i < rows; i++) finishRow(args, at + (<usize>i << 2), states + <usize>i * STATE, out + <usize>i * outRow, d);
}

/** Adds to the outputs of `count` queries from `first` on what they get from the first `columns` keys of the tile in scratch, from `start` on. */
function addStrip(args: usize, batch: i32, head: i32, first: i32, count: i32, start: i32, columns: i32, states: usize, scratch: usize): void {
  const s = intArg(args, 6), heads = intArg(args, 7), d = intArg(args, 9), left = intArg(args, 11), right = intArg(args, 12);
  const terms = hasTerms(args), drops = hasDropout(args), blocks = hasBlockMask(args), isWatched = hasStatistics(args);
  const scale = terms ? <f32>1 : floatArg(args, 10);
  const offset = s - intArg(args, 5);
  const kvRow = <usize>intArg(args, 14) << 2;
  const outRow = <usize>(heads * d) << 2;
  const out = pointerArg(args, 3) + outAt(args, batch, head, first);
  memory.fill(scratch, 0, <usize>(count * BLOCK) << 2);
  const q = pointerArg(args, 0) + queryAt(args, batch, head, first);
  tileGemm(count, columns, d, q, <usize>intArg(args, 13) << 2, 4, scratch + KEYS, BLOCK << 2, scratch, BLOCK << 2);
  for (let i = 0, row = scratch; i < count; i++, row += BLOCK << 2) {
    const low = max(0, firstKey(first + i, offset, left) - start);
    let high = min(columns - 1, lastKey(first + i, offset, right, s) - start);
    if (terms) addTerms(args, batch, head, first + i, start, row, low, high, scratch + CAP_SLOPES);
    if (blocks && !hideBlocks(args, first + i, start, row, low, high)) high = low - 1;
    softmaxRow(row, columns, low, high, scale, states + <usize>i * STATE, isWatched, out + <usize>i * outRow, d);
    if (!drops || low > high) continue;
    const bits = drawRow(args, batch, head, first + i, start + low, high - low + 1, scratch + RANDOMS);
    keepRow(args, row + (<usize>low << 2), high - low + 1, bits);
  }
  const v = pointerArg(args, 2) + keyAt(args, batch, head / (heads / intArg(args, 8)), start);
  tileGemm(count, d, columns, scratch, BLOCK << 2, 4, v, kvRow, out, outRow);
}

// @ts-ignore: decorator
@inline
function hasStatistics(args: usize): bool {
  return pointerArg(args, 36) != 0;
}

/** What is known of a query: the maximum m of its scores x, Σ e^(x − m), if it is watched Σ e^(x − m)·(x − m), and whether it sees a key (i32). */
function startState(state: usize): void {
  store<f32>(state, -Infinity);
  store<f32>(state, 0, 4);
  store<f32>(state, 0, 8);
  store<i32>(state, 0, 12);
}

/**
 * Normalises the output of one query and stores its lse, both NaN where every visible score is −Infinity, and its statistics:
 * entropy = log l − Σ e^x·x / l with l = Σ e^x, where x is the score less the maximum. `at` is its place in lse.
 */
function finishRow(args: usize, at: usize, state: usize, out: usize, d: i32): void {
  const isBlind = load<i32>(state, 12) == 0;
  const maximum = load<f32>(state), sum = load<f32>(state, 4);
  const logSum: f32 = sum == 0 ? NaN : Mathf.log(sum);
  if (!isBlind) scaleRow(out, d, 1 / sum);
  store<f32>(pointerArg(args, 4) + at, isBlind ? Infinity : maximum + logSum);
  if (!hasStatistics(args)) return;
  store<f32>(pointerArg(args, 36) + at, maximum + (sum - sum)); // NaN among the scores may have been passed over
  store<f32>(pointerArg(args, 37) + at, isBlind ? 0 : logSum - load<f32>(state, 8) / sum);
}

/**
 * One row of a tile: scores become e^(scale·score − maximum) in columns low … high and 0 elsewhere; the running maximum and sums and the
 * output so far are brought to the new maximum.
 */
function softmaxRow(row: usize, columns: i32, low: i32, high: i32, scale: f32, state: usize, isWatched: bool, out: usize, d: i32): void {
  if (low > high) {
    memory.fill(row, 0, <usize>columns << 2);
    return;
  }
  store<i32>(state, 1, 12);
  const before = load<f32>(state);
  const largest = max(before, scale * rowMaximum(row, low, high, scale < 0));
  memory.fill(row, 0, <usize>low << 2);
  const shift: f32 = largest == -Infinity ? 0 : largest; // −Infinity less itself would be NaN
  const shrink = before == largest ? <f32>1 : exp1(before - largest);
  const total = load<f32>(state, 4);
  if (isWatched) {
    const moment = total == 0 ? <f32>0 : shrink * (load<f32>(state, 8) + total * (before - largest)); // as if every score so far had been less the new maximum
    store<f32>(state, moment, 8);
  }
  const sum = isWatched ? exponentialsAndMoment(row, low, high, scale, shift, state + 8) : exponentials(row, low, high, scale, shift);
  memory.fill(row + (<usize>(high + 1) << 2), 0, <usize>(columns - 1 - high) << 2);
  store<f32>(state, largest);
  store<f32>(state, total * shrink + sum, 4);
  if (shrink != 1) scaleRow(out, d, shrink);
}

/**
 * The largest score of columns low … high, or the smallest where the scale turns the order round. A NaN may be passed over: its
 * exponential makes the row NaN all the same.
 */
function rowMaximum(row: usize, low: i32, high: i32, negative: bool): f32 {
  let j = low;
  let best = load<f32>(row + (<usize>low << 2));
  if (!negative && high - low >= 3) {
    let best4 = v128.load(row + (<usize>low << 2));
    for (j = low + 4; j + 3 <= high; j += 4) best4 = f32x4.pmax(best4, v128.load(row + (<usize>j << 2)));
    best = maxLanes(best4);
  }
  for (; j <= high; j++) {
    const x = load<f32>(row + (<usize>j << 2));
    best = negative ? min(best, x) : max(best, x);
  }
  return best;
}
