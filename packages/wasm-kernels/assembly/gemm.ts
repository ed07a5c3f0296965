// C = A·B (+ bias, activation) over packed panels. A chunk is one block of rows × columns of one batch entry over the whole
// depth, so the order of every sum is the same for any number of threads.
import { activate } from './activate';
import { intArg, pointerArg } from './args';
import { micro6x8 } from './gemmMicro';
import { packA } from './gemmPack';
import { KC, MR, NR } from './gemmShape';

/** Floats of the thread's scratch that hold a partial 6 × 8 tile and a padded bias, before the packed block of A. */
const TILE_BYTES: usize = 256;

/**
 * gemm — one chunk. args: 0 A, 1 packed B, 2 C (tables of u32 addresses, one per batch entry), 3 bias (0: none), 4 m, 5 n,
 * 6 depth, 7 stride of A, 8 A transposed, 9 row stride of C, 10 row blocks, 11 column blocks, 12 rows per block,
 * 13 columns per block, 14 activation (0 none, 1 relu, 2 relu6).
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
  const c = <usize>load<u32>(pointerArg(args, 2) + entry) + <usize>row * ldc + (<usize>column << 2);
  const bias = pointerArg(args, 3);
  const width = (n + NR - 1) / NR * NR;
  const packed = scratch + TILE_BYTES;
  let k0 = 0;
  do {
    const kc = min(KC, depth - k0);
    packA(a + (<usize>(transposed ? k0 * strideA + row : row * strideA + k0) << 2), packed, rows, kc, strideA, transposed);
    const panel = b + (<usize>(k0 * width + column * kc) << 2);
    const biasHere: usize = k0 + kc >= depth && bias != 0 ? bias + (<usize>column << 2) : 0;
    block(packed, panel, c, rows, columns, kc, ldc, i32(k0 > 0), biasHere, scratch);
    k0 += KC;
  } while (k0 < depth);
  activate(c, rows, columns, ldc, intArg(args, 14));
}

/** block — rows × columns of C from a packed block of A and the packed panels of B; B's panel is the outer loop. */
function block(
  a: usize, b: usize, c: usize, rows: i32, columns: i32, kc: i32, ldc: usize, accumulate: i32, bias: usize, tile: usize,
): void {
  for (let j = 0; j < columns; j += NR) {
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
      if (height == MR && width == NR) micro6x8(kc, panelA, b, to, ldc, accumulate, biasHere);
      else {
        micro6x8(kc, panelA, b, tile, NR << 2, 0, biasHere);
        copyTile(tile, to, height, width, ldc, accumulate);
      }
      panelA += <usize>(kc * MR) << 2;
      to += <usize>MR * ldc;
    }
    b += <usize>(kc * NR) << 2;
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
