// Packing: copies of A and B in the order in which the micro-kernel reads them.
//   B, depth k × columns n  →  per block of KC rows, per panel of 8 columns: kc × 8 floats
//   A, rows m × depth k     →  per panel of 6 rows: kc × 6 floats
// Missing rows and columns of the last panel are zero; their results are never stored.
import { intArg, pointerArg } from './args';
import { KC, MR, NR } from './gemmShape';

/**
 * gemmPackB — one chunk packs `panelsPerChunk` panels of one batch entry over the whole depth.
 * args: 0 B (table of u32 addresses, one per entry), 1 packed, 2 columns n, 3 depth, 4 stride of B (floats between stored rows),
 * 5 transposed, 6 chunks per entry, 7 panels per chunk, 8 floats between packed entries.
 */
export function gemmPackB(chunk: i32, args: usize, scratch: usize): void {
  const n = intArg(args, 2);
  const depth = intArg(args, 3);
  const stride = intArg(args, 4);
  const transposed = intArg(args, 5);
  const chunksPerEntry = intArg(args, 6);
  const panelsPerChunk = intArg(args, 7);
  const entry = chunk / chunksPerEntry;
  const b = <usize>load<u32>(pointerArg(args, 0) + (<usize>entry << 2));
  const packed = pointerArg(args, 1) + ((<usize>entry * <usize>intArg(args, 8)) << 2);
  const panels = (n + NR - 1) / NR;
  const first = (chunk % chunksPerEntry) * panelsPerChunk;
  const last = min(first + panelsPerChunk, panels);
  for (let k0 = 0; k0 < depth; k0 += KC) {
    const kc = min(KC, depth - k0);
    const block = packed + (<usize>(k0 * panels * NR) << 2);
    for (let panel = first; panel < last; panel++) {
      const to = block + (<usize>(panel * kc * NR) << 2);
      const columns = min(NR, n - panel * NR);
      if (transposed) packColumns(b + (<usize>(panel * NR * stride + k0) << 2), to, columns, NR, kc, stride);
      else packRows8(b + (<usize>(k0 * stride + panel * NR) << 2), to, columns, kc, stride);
    }
  }
}

/** packA — rows [0, rows) × depth kc of A, from `from`, into panels of six rows. */
export function packA(from: usize, to: usize, rows: i32, kc: i32, stride: i32, transposed: i32): void {
  for (let row = 0; row < rows; row += MR) {
    const height = min(MR, rows - row);
    if (transposed) packRows6(from + (<usize>row << 2), to, height, kc, stride);
    else packColumns(from + (<usize>(row * stride) << 2), to, height, MR, kc, stride);
    to += <usize>(kc * MR) << 2;
  }
}

/** packRows8 — kc stored rows of which the first `width` floats become the first floats of eight. */
function packRows8(from: usize, to: usize, width: i32, kc: i32, stride: i32): void {
  const step = <usize>stride << 2;
  if (width == NR) {
    for (let k = 0; k < kc; k++) {
      v128.store(to, v128.load(from));
      v128.store(to, v128.load(from, 16), 16);
      from += step;
      to += NR << 2;
    }
    return;
  }
  packRowsPartly(from, to, width, NR, kc, step);
}

/** packRows6 — the same for rows of six. */
function packRows6(from: usize, to: usize, width: i32, kc: i32, stride: i32): void {
  const step = <usize>stride << 2;
  if (width == MR) {
    for (let k = 0; k < kc; k++) {
      v128.store(to, v128.load(from));
      store<u64>(to, load<u64>(from, 16), 16);
      from += step;
      to += MR << 2;
    }
    return;
  }
  packRowsPartly(from, to, width, MR, kc, step);
}

function packRowsPartly(from: usize, to: usize, width: i32, full: i32, kc: i32, step: usize): void {
  for (let k = 0; k < kc; k++) {
    for (let i = 0; i < full; i++) {
      store<f32>(to + (<usize>i << 2), i < width ? load<f32>(from + (<usize>i << 2)) : 0);
    }
    from += step;
    to += <usize>full << 2;
  }
}

/** packColumns — `width` stored rows of kc floats, transposed into kc rows of `full` (6 or 8). */
function packColumns(from: usize, to: usize, width: i32, full: i32, kc: i32, stride: i32): void {
  const step = <usize>stride << 2;
  const toStep = <usize>full << 2;
  let i = 0;
  for (; i + 4 <= width; i += 4) transpose4(from + <usize>i * step, to + (<usize>i << 2), kc, step, toStep);
  for (; i < width; i++) {
    let source = from + <usize>i * step;
    let target = to + (<usize>i << 2);
    for (let k = 0; k < kc; k++) {
      store<f32>(target, load<f32>(source));
      source += 4;
      target += toStep;
    }
  }
  for (; i < full; i++) {
    let target = to + (<usize>i << 2);
    for (let k = 0; k < kc; k++) {
      store<f32>(target, 0);
      target += toStep;
    }
  }
}

/** transpose4 — four rows of kc floats, `step` bytes apart, into kc groups of four, `toStep` bytes apart. */
export function transpose4(from: usize, to: usize, kc: i32, step: usize, toStep: usize): void {
  let r0 = from;
  let r1 = r0 + step;
  let r2 = r1 + step;
  let r3 = r2 + step;
  let k = 0;
  for (; k + 4 <= kc; k += 4) {
    const a = v128.load(r0);
    const b = v128.load(r1);
    const c = v128.load(r2);
    const d = v128.load(r3);
    const ab0 = v128.shuffle<f32>(a, b, 0, 4, 1, 5);
    const ab1 = v128.shuffle<f32>(a, b, 2, 6, 3, 7);
    const cd0 = v128.shuffle<f32>(c, d, 0, 4, 1, 5);
    const cd1 = v128.shuffle<f32>(c, d, 2, 6, 3, 7);
    v128.store(to, v128.shuffle<f64>(ab0, cd0, 0, 2));
    to += toStep;
    v128.store(to, v128.shuffle<f64>(ab0, cd0, 1, 3));
    to += toStep;
    v128.store(to, v128.shuffle<f64>(ab1, cd1, 0, 2));
    to += toStep;
    v128.store(to, v128.shuffle<f64>(ab1, cd1, 1, 3));
    to += toStep;
    r0 += 16;
    r1 += 16;
    r2 += 16;
    r3 += 16;
  }
  for (; k < kc; k++) {
    store<f32>(to, load<f32>(r0));
    store<f32>(to, load<f32>(r1), 4);
    store<f32>(to, load<f32>(r2), 8);
    store<f32>(to, load<f32>(r3), 12);
    to += toStep;
    r0 += 4;
    r1 += 4;
    r2 += 4;
    r3 += 4;
  }
}
