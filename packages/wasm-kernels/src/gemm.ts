import type { Block } from './memory.ts';
import type { WasmBackend } from './wasmBackend.ts';

/** GemmOperands — C = activation(scale·A·B + bias) + residual for `batch` pairs: A is m × k, B k × n, both row-major, either stored transposed. */
export type GemmOperands = {
  readonly m: number;
  readonly n: number;
  readonly k: number;
  readonly transposeA: boolean;
  readonly transposeB: boolean;
  /** Addresses per batch entry; equal addresses are packed once. */
  readonly a: readonly number[];
  readonly b: readonly number[];
  readonly c: readonly number[];
  readonly scale?: number;
  /** Address of n floats added to each row; 0: none. */
  readonly bias?: number;
  readonly activation?: GemmActivation;
  /** For one pair only, addresses or 0: where C is kept as it is before the activation; what is added at the end. Both laid out as C. */
  readonly before?: number;
  readonly residual?: number;
  /** For one pair only: address of m floats that become the sums over k of the rows of A; 0: none. */
  readonly rowSums?: number;
};

/** GemmActivation — by its number in assembly/epilogue.ts. */
const ACTIVATIONS = { linear: 0, relu: 1, relu6: 2, gelu: 3, geluTanh: 4, silu: 5 } as const;
export type GemmActivation = keyof typeof ACTIVATIONS;

const MR = 6;
const NR = 8;
/** Rows of A packed at a time: with KC = 256 they fill 96 KiB of the L2 cache. */
const MAX_ROWS = 96;
const MAX_COLUMNS = 512;
/** Up to this many rows B is not packed. */
const FEW_ROWS = 4;
/** Packed copies of B are made in portions of at most this size. */
const PACKED_BYTES = 32 << 20;
/** A chunk is not made smaller than this many multiply-adds: 5 µs or so. */
const MIN_CHUNK_WORK = 100_000;
const WANTED_CHUNKS = 32;
/** Rows are split down to this before columns are, because each block of columns packs A anew. */
const FEWEST_ROWS = 24;
const FEWEST_COLUMNS = 64;
/** Floats of B that one chunk packs. */
const PACK_CHUNK = 8192;

/**
 * gemm — packs B in panels, then multiplies, both on all threads; a few rows are multiplied without packing.
 *
 * Large B are taken in blocks of columns and batches in groups, so that packed copies stay below 32 MiB. The cut into chunks
 * depends on the shapes alone.
 */
export function gemm(backend: WasmBackend, operands: GemmOperands): void {
  const { m, n, k, transposeA, bias = 0, rowSums = 0 } = operands;
  const batch = operands.a.length;
  if (m === 0 || n === 0 || batch === 0) return;
  if (n === 1 && bias === 0 && rowSums === 0 && m > 1) return gemm(backend, transposed(operands));
  if (rowSums === 0 && (m === 1 || (m <= FEW_ROWS && !transposeA))) return multiplyFewRows(backend, operands);
  const columns = Math.min(n, Math.max(64, Math.floor(PACKED_BYTES / 4 / Math.max(k, 1) / NR) * NR));
  const group = columns < n ? 1 : Math.max(1, Math.floor(PACKED_BYTES / 4 / Math.max(k * roundUp(n, NR), 1)));
  for (let first = 0; first < batch; first += group) {
    for (let column = 0; column < n; column += columns) {
      multiplyPart(backend, operands, first, Math.min(group, batch - first), column, Math.min(columns, n - column));
    }
  }
}

/** transposed — Cᵀ = Bᵀ·Aᵀ: a product with one column as one with one row, whose memory is the same. */
function transposed({ m, n, transposeA, transposeB, a, b, ...rest }: GemmOperands): GemmOperands {
  return { ...rest, m: n, n: m, transposeA: !transposeB, transposeB: !transposeA, a: b, b: a };
}

function multiplyFewRows(backend: WasmBackend, operands: GemmOperands): void {
  const { m, n, k, transposeB, a, b, c, bias = 0, activation = 'linear', scale = 1, before = 0, residual = 0 } = operands;
  const batch = a.length;
  const table = addressTable(backend, [a, b, c]);
  const columnsPerChunk = roundUp(MIN_CHUNK_WORK / 2 / Math.max(m * k, 1), 16);
  const chunksPerEntry = Math.ceil(n / columnsPerChunk);
  backend.run(
    'gemmFewRows', chunksPerEntry * batch, table.pointer, table.pointer + batch * 4, table.pointer + batch * 8, bias,
    m, n, k, transposeB ? 1 : 0, chunksPerEntry, columnsPerChunk, ACTIVATIONS[activation], scale, before, residual,
  );
  backend.release(table);
}

/** multiplyPart — `count` batch entries from `first`, `columns` columns from `column`. */
function multiplyPart(backend: WasmBackend, operands: GemmOperands, first: number, count: number, column: number, columns: number): void {
  const { m, n, k, transposeA, transposeB, bias = 0, activation = 'linear', scale = 1, before = 0, residual = 0, rowSums = 0 } = operands;
  const shifted = (address: number): number => (address === 0 ? 0 : address + column * 4);
  const b = operands.b.slice(first, first + count);
  const place = new Map<number, number>(); // equal B are packed once
  for (const address of b) if (!place.has(address)) place.set(address, place.size);
  const entryFloats = k * roundUp(columns, NR);
  const packed = backend.intermediate(place.size * entryFloats * 4);
  const offsetB = (transposeB ? column * k : column) * 4;
  const table = addressTable(backend, [
    [...place.keys()].map((address) => address + offsetB),
    operands.a.slice(first, first + count),
    b.map((address) => packed.pointer + (place.get(address) as number) * entryFloats * 4),
    operands.c.slice(first, first + count).map((address) => address + column * 4),
  ]);
  const panelsPerChunk = Math.max(1, Math.ceil(PACK_CHUNK / Math.max(k * NR, 1)));
  const chunksPerEntry = Math.ceil(Math.ceil(columns / NR) / panelsPerChunk);
  backend.run(
    'gemmPackB', chunksPerEntry * place.size,
    table.pointer, packed.pointer, columns, k, transposeB ? k : n, transposeB ? 1 : 0, chunksPerEntry, panelsPerChunk, entryFloats,
  );
  const tableA = table.pointer + place.size * 4;
  const cut = cutBlocks(m, columns, k, count);
  backend.run(
    'gemm', cut.rowBlocks * cut.columnBlocks * count, tableA, tableA + count * 4, tableA + count * 8, shifted(bias),
    m, columns, k, transposeA ? m : k, transposeA ? 1 : 0, n, cut.rowBlocks, cut.columnBlocks, cut.rows, cut.columns, ACTIVATIONS[activation], scale,
    shifted(before), shifted(residual), column === 0 ? rowSums : 0,
  );
  backend.release(packed);
  backend.release(table);
}

/** addressTable — lists of addresses, one after the other, in a heap block the caller frees. */
function addressTable(backend: WasmBackend, lists: readonly (readonly number[])[]): Block {
  const { memory } = backend.runtime;
  const size = lists.reduce((sum, list) => sum + list.length, 0);
  const block = backend.intermediate(size * 4);
  const words = new Uint32Array(memory.buffer, block.pointer, size);
  let at = 0;
  for (const list of lists) for (const address of list) words[at++] = address;
  return block;
}

/** cutBlocks — halves chunks until there are enough of them for many threads, or they would be too small. */
function cutBlocks(m: number, n: number, k: number, batch: number): { rows: number; columns: number; rowBlocks: number; columnBlocks: number } {
  let rows = Math.min(MAX_ROWS, roundUp(m, MR));
  let columns = Math.min(MAX_COLUMNS, roundUp(n, NR));
  const count = (): number => Math.ceil(m / rows) * Math.ceil(n / columns) * batch;
  while (count() < WANTED_CHUNKS && rows * columns * k > 2 * MIN_CHUNK_WORK && (rows > MR || columns > NR)) {
    if (rows > FEWEST_ROWS || columns === NR) rows = roundUp(rows / 2, MR);
    else if (columns > FEWEST_COLUMNS) columns = roundUp(columns / 2, NR);
    else break;
  }
  return { rows, columns, rowBlocks: Math.ceil(m / rows), columnBlocks: Math.ceil(n / columns) };
}

function roundUp(value: number, multiple: number): number {
  return Math.ceil(value / multiple) * multiple;
}
