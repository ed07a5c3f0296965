// The same product as gemm.ts for a few rows of A: packing B would cost as much as the product, so B is read once where it lies.
import { floatArg, intArg, pointerArg } from './args';
import { scaleRow } from './attentionTile';
import { finish } from './epilogue';
import { addRow } from './reduce';
import { loadSplat, madd } from './simd';

/**
 * gemmFewRows — one chunk of columns. args: 0 A, 1 B, 2 C (tables of u32 addresses, one per batch entry), 3 bias (0: none),
 * 4 m, 5 n, 6 depth, 7 B transposed (n × depth), 8 chunks per entry, 9 columns per chunk, 10 activation
 * (see epilogue.ts), 11 scale, 12 C before the activation, 13 residual (as in `gemm`). A is m × depth.
 */
export function gemmFewRows(chunk: i32, args: usize, scratch: usize): void {
  const m = intArg(args, 4);
  const n = intArg(args, 5);
  const depth = intArg(args, 6);
  const chunksPerEntry = intArg(args, 8);
  const columnsPerChunk = intArg(args, 9);
  const entry = (chunk / chunksPerEntry) << 2;
  const column = (chunk % chunksPerEntry) * columnsPerChunk;
  const columns = min(columnsPerChunk, n - column);
  const a = <usize>load<u32>(pointerArg(args, 0) + entry);
  const b = <usize>load<u32>(pointerArg(args, 1) + entry);
  const c = <usize>load<u32>(pointerArg(args, 2) + entry) + (<usize>column << 2);
  const ldc = <usize>n << 2;
  if (intArg(args, 7)) dotRows(a, b + (<usize>(column * depth) << 2), c, m, columns, depth, ldc);
  else sumRows(a, b + (<usize>column << 2), c, m, columns, depth, ldc);
  const bias = pointerArg(args, 3), before = pointerArg(args, 12), residual = pointerArg(args, 13);
  const scale = floatArg(args, 11);
  for (let i = 0; i < m; i++) {
    const row = c + <usize>i * ldc;
    if (scale != 1) scaleRow(row, columns, scale);
    if (bias != 0) addRow(row, row, bias + (<usize>column << 2), columns);
  }
  const place = <usize>column << 2;
  finish(c, m, columns, ldc, intArg(args, 10), before == 0 ? 0 : before + place, residual == 0 ? 0 : residual + place);
}

/** dotRows — stored rows of B are columns: each is read once and meets every row of A. */
function dotRows(a: usize, b: usize, c: usize, m: i32, columns: i32, depth: i32, ldc: usize): void {
  const step = <usize>depth << 2;
  for (let j = 0; j < columns; j++) {
    for (let i = 0; i < m; i++) store<f32>(c + <usize>i * ldc + (<usize>j << 2), dot(a + <usize>i * step, b, depth));
    b += step;
  }
}

/** dot — sum of x·y in sixteen partial sums. */
function dot(x: usize, y: usize, count: i32): f32 {
  let s0 = f32x4.splat(0);
  let s1 = s0;
  let s2 = s0;
  let s3 = s0;
  let k = 0;
  for (; k + 16 <= count; k += 16, x += 64, y += 64) {
    s0 = madd(v128.load(x), v128.load(y), s0);
    s1 = madd(v128.load(x, 16), v128.load(y, 16), s1);
    s2 = madd(v128.load(x, 32), v128.load(y, 32), s2);
    s3 = madd(v128.load(x, 48), v128.load(y, 48), s3);
  }
  for (; k + 4 <= count; k += 4, x += 16, y += 16) s0 = madd(v128.load(x), v128.load(y), s0);
  s0 = f32x4.add(f32x4.add(s0, s1), f32x4.add(s2, s3));
  let sum = (f32x4.extract_lane(s0, 0) + f32x4.extract_lane(s0, 1)) + (f32x4.extract_lane(s0, 2) + f32x4.extract_lane(s0, 3));
  for (; k < count; k++, x += 4, y += 4) sum += load<f32>(x) * load<f32>(y);
  return sum;
}

/** sumRows — rows of B weighted by A, sixteen columns at a time. */
function sumRows(a: usize, b: usize, c: usize, m: i32, columns: i32, depth: i32, ldc: usize): void {
  for (let i = 0; i < m; i++) {
    const row = a + (<usize>(i * depth) << 2);
    const out = c + <usize>i * ldc;
    let j = 0;
    for (; j + 16 <= columns; j += 16) sum16(row, b + (<usize>j << 2), out + (<usize>j << 2), depth, ldc);
    for (; j < columns; j++) sum1(row, b + (<usize>j << 2), out + (<usize>j << 2), depth, ldc);
  }
}

function sum16(a: usize, b: usize, out: usize, depth: i32, step: usize): void {
  let s0 = f32x4.splat(0);
  let s1 = s0;
  let s2 = s0;
  let s3 = s0;
  for (let k = 0; k < depth; k++, a += 4, b += step) {
    const x = loadSplat(a);
    s0 = madd(x, v128.load(b), s0);
    s1 = madd(x, v128.load(b, 16), s1);
    s2 = madd(x, v128.load(b, 32), s2);
    s3 = madd(x, v128.load(b, 48), s3);
  }
  v128.store(out, s0);
  v128.store(out, s1, 16);
  v128.store(out, s2, 32);
  v128.store(out, s3, 48);
}

function sum1(a: usize, b: usize, out: usize, depth: i32, step: usize): void {
  let sum: f32 = 0;
  for (let k = 0; k < depth; k++, a += 4, b += step) sum += load<f32>(a) * load<f32>(b);
  store<f32>(out, sum);
}
