// C = activation(scale·A·B + bias) + residual over packed panels. A chunk is one block of rows × columns of one batch entry over the whole
// depth, so the order of every sum is the same for any number of threads.
import { floatArg, intArg, pointerArg } from './args';
import { finish } from './epilogue';
import { micro6x16, micro6x8 } from './gemmMicro';
import { packA } from './gemmPack';
import { KC, MR, NR } from './gemmShape';
import { WIDE } from './layout';
import { splat } from './simd';

/** Floats of the thread's scratch that hold a partial 6 × 8 tile and a padded bias, before the packed block of A. */
const TILE_BYTES: usize = 256;

/**
 * gemm — one chunk. args: 0 A, 1 packed B, 2 C (tables of u32 addresses, one per batch entry), 3 bias (0: none), 4 m, 5 n,
 * 6 depth, 7 stride of A, 8 A transposed, 9 row stride of C, 10 row blocks, 11 column blocks, 12 rows per block,
 * 13 columns per block, 14 activation (see epilogue.ts), 15 scale. For one batch entry only, addresses or 0: 16 C before the
 * activation (written), 17 residual (both laid out as C), 18 sums over the depth of each row of A (written).
 */
export function gemm(chunk: i32, args: usize, scratch: usize): void {
  const n = intArg(args, 5);
  const depth = intArg(args, 6);
  const strideA = intArg(args, 7);
  const transposed = intArg(args, 8);
  const ldc = <usize>intArg(args, 9) << 2;
  const rowBlocks = intArg(args, 10);
  const rowsPerBlock = intArg(args, 12);
  const columnsPerBlock = intArg(args, 13);
  const blocks = rowBlocks * intArg(args, 11);
  const entry = (chunk / blocks) << 2;
  const row = (chunk % blocks % rowBlocks) * rowsPerBlock;
  const column = (chunk % blocks / rowBlocks) * columnsPerBlock;
  const rows = min(rowsPerBlock, intArg(args, 4) - row);
  const columns = min(columnsPerBlock, n - column);
  const a = <usize>load<u32>(pointerArg(args, 0) + entry);
  const b = <usize>load<u32>(pointerArg(args, 1) + entry);
  const place = <usize>row * ldc + (<usize>column << 2);
  const c = <usize>load<u32>(pointerArg(args, 2) + entry) + place;
  const bias = pointerArg(args, 3), before = pointerArg(args, 16), residual = pointerArg(args, 17), sums = pointerArg(args, 18);
  const scale = floatArg(args, 15);
  const width = (n + NR - 1) / NR * NR;
  const packed = scratch + TILE_BYTES;
  let k0 = 0;
  do {
    const kc = min(KC, depth - k0);
    packA(a + (<usize>(transposed ? k0 * strideA + row : row * strideA + k0) << 2), packed, rows, kc, strideA, transposed);
    if (sums != 0 && column == 0) sumPanels(packed, rows, kc, sums + (<usize>row << 2), k0 > 0);
    const panel = b + (<usize>(k0 * width + column * kc) << 2);
    const biasHere: usize = k0 + kc >= depth && bias != 0 ? bias + (<usize>column << 2) : 0;
    block(packed, panel, c, rows, columns, kc, ldc, i32(k0 > 0), biasHere, scale, scratch);
    k0 += KC;
  } while (k0 < depth);
  finish(c, rows, columns, ldc, intArg(args, 14), before == 0 ? 0 : before + place, residual == 0 ? 0 : residual + place);
}

/** block — rows × columns of C from a packed block of A and the packed panels of B; B's panel is the outer loop. */
function block(
  a: usize, b: usize, c: usize, rows: i32, columns: i32, kc: i32, ldc: usize, accumulate: i32, bias: usize, scale: f32, tile: usize,
): void {
  let j = 0;
  if (load<i32>(WIDE)) {
    for (; j + 2 * NR <= columns; j += 2 * NR) {
      twoPanels(a, b, c + (<usize>j << 2), rows, kc, ldc, accumulate, bias == 0 ? 0 : bias + (<usize>j << 2), scale, tile);
      b += <usize>(2 * kc * NR) << 2;
    }
  }
  for (; j < columns; j += NR) {
    const width = min(NR, columns - j);
    let biasHere: usize = bias == 0 ? 0 : bias + (<usize>j << 2);
    if (biasHere != 0 && width < NR) {
      biasHere = tile + 192;
      memory.copy(biasHere, bias + (<usize>j << 2), <usize>width << 2);
    }
    let panelA = a;
    let to = c + (<usize>j << 2);
    for (let i = 0; i < rows; i += MR) {
      const height = min(MR, rows - i);
      if (height == MR && width == NR) micro6x8(kc, panelA, b, to, ldc, accumulate, biasHere, scale);
      else {
        micro6x8(kc, panelA, b, tile, NR << 2, 0, biasHere, scale);
        copyTile(tile, to, height, width, ldc, accumulate);
      }
      panelA += <usize>(kc * MR) << 2;
      to += <usize>MR * ldc;
    }
    b += <usize>(kc * NR) << 2;
  }
}

/** twoPanels — rows × 16 of C, where the engine has registers of eight floats. */
function twoPanels(a: usize, b: usize, c: usize, rows: i32, kc: i32, ldc: usize, accumulate: i32, bias: usize, scale: f32, tile: usize): void {
  let i = 0;
  for (; i + MR <= rows; i += MR) {
    micro6x16(kc, a, b, c, ldc, accumulate, bias, scale);
    a += <usize>(kc * MR) << 2;
    c += <usize>MR * ldc;
  }
  if (i == rows) return;
  for (let half = 0; half < 2; half++) {
    micro6x8(kc, a, b + (<usize>(half * kc * NR) << 2), tile, NR << 2, 0, bias == 0 ? 0 : bias + (half << 5), scale);
    copyTile(tile, c + (half << 5), rows - i, NR, ldc, accumulate);
  }
}

/** sumPanels — adds up each row of a packed block of A; with `accumulate` on top of what is there. */
function sumPanels(packed: usize, rows: i32, kc: i32, sums: usize, accumulate: bool): void {
  for (let row = 0; row < rows; row += MR) {
    let first = splat(0), last = splat(0);
    for (let k = 0; k < kc; k++, packed += MR << 2) {
      first = f32x4.add(first, v128.load(packed));
      last = f32x4.add(last, v128.load64_zero(packed + 16));
    }
    for (let i = 0; i < min(MR, rows - row); i++, sums += 4) {
      let sum: f32 = i == 0 ? f32x4.extract_lane(first, 0) : i == 1 ? f32x4.extract_lane(first, 1) : i == 2 ? f32x4.extract_lane(first, 2)
        : i == 3 ? f32x4.extract_lane(first, 3) : i == 4 ? f32x4.extract_lane(last, 0) : f32x4.extract_lane(last, 1);
      if (accumulate) sum += load<f32>(sums);
      store<f32>(sums, sum);
    }
  }
}

/** copyTile — the part of a tile that lies inside C. */
function copyTile(tile: usize, c: usize, height: i32, width: i32, ldc: usize, accumulate: i32): void {
  for (let i = 0; i < height; i++) {
    for (let j = 0; j < width; j++) {
      const to = c + (<usize>j << 2);
      const value = load<f32>(tile + (<usize>j << 2));
      store<f32>(to, accumulate ? load<f32>(to) + value : value);
    }
    tile += NR << 2;
    c += ldc;
  }
}
