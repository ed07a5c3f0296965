import type { WasmBackend } from './wasmBackend.ts';

/** GemmOperands — C = A·B for `batch` pairs: A is m × k, B k × n, both row-major, either stored transposed. */
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
  /** Address of n floats added to each row; 0: none. */
  readonly bias?: number;
  readonly activation?: GemmActivation;
};

export type GemmActivation = 'linear' | 'relu' | 'relu6';

const MR = 6;
const NR = 8;
/** Rows of A packed at a time: with KC = 256 they fill 96 KiB of the L2 cache. */
const MAX_ROWS = 96;
const MAX_COLUMNS = 512;
/** Packed copies of B are made in portions of at most this size. */
const PACKED_BYTES = 32 << 20;
/** A chunk is not made smaller than this many multiply-adds: 10 µs or so. */
const MIN_CHUNK_WORK = 200_000;
const WANTED_CHUNKS = 16;
const ACTIVATIONS: Readonly<Record<GemmActivation, number>> = { linear: 0, relu: 1, relu6: 2 };

/**
 * gemm — packs B in panels, then multiplies, both on all threads.
 *
 * Large B are taken in blocks of columns and batches in groups, so that packed copies stay below 32 MiB. The cut into chunks
 * depends on the shapes alone.
 */
export function gemm(backend: WasmBackend, operands: GemmOperands): void {
  const { m, n, k } = operands;
  const batch = operands.a.length;
  if (m === 0 || n === 0 || batch === 0) return;
  const columns = Math.min(n, Math.max(64, Math.floor(PACKED_BYTES / 4 / Math.max(k, 1) / NR) * NR));
  const group = columns < n ? 1 : Math.max(1, Math.floor(PACKED_BYTES / 4 / Math.max(k * roundUp(n, NR), 1)));
  for (let first = 0; first < batch; first += group) {
    for (let column = 0; column < n; column += columns) {
      multiplyPart(backend, operands, first, Math.min(group, batch - first), column, Math.min(columns, n - column));
    }
  }
}

/** multiplyPart — `count` batch entries from `first`, `columns` columns from `column`. */
function multiplyPart(backend: WasmBackend, operands: GemmOperands, first: number, count: number, column: number, columns: number): void {
  const { m, n, k, transposeA, transposeB, bias = 0, activation = 'linear' } = operands;
  const { heap, memory } = backend.runtime;
  const unique = [...new Set(operands.b.slice(first, first + count))];
  const entryFloats = k * roundUp(columns, NR);
  const packed = heap.allocate(unique.length * entryFloats * 4);
  const table = heap.allocate((unique.length + 3 * count) * 4);
  const words = new Uint32Array(memory.buffer, table.pointer, unique.length + 3 * count);
  const offsetB = (transposeB ? column * k : column) * 4;
  unique.forEach((pointer, i) => {
    words[i] = pointer + offsetB;
  });
  for (let i = 0; i < count; i++) {
    words[unique.length + i] = operands.a[first + i] as number;
    words[unique.length + count + i] = packed.pointer + unique.indexOf(operands.b[first + i] as number) * entryFloats * 4;
    words[unique.length + 2 * count + i] = (operands.c[first + i] as number) + column * 4;
  }
  const tableA = table.pointer + unique.length * 4;
  const panels = Math.ceil(columns / NR);
  const panelsPerChunk = Math.max(1, Math.ceil(16384 / Math.max(k * NR, 1)));
  const packChunks = Math.ceil(panels / panelsPerChunk);
  backend.run(
    'gemmPackB', packChunks * unique.length,
    table.pointer, packed.pointer, columns, k, transposeB ? k : n, transposeB ? 1 : 0, packChunks, panelsPerChunk, entryFloats,
  );
  const cut = cutBlocks(m, columns, k, count);
  backend.run(
    'gemm', cut.rowBlocks * cut.columnBlocks * count,
    tableA, tableA + count * 4, tableA + count * 8, bias === 0 ? 0 : bias + column * 4,
    m, columns, k, transposeA ? m : k, transposeA ? 1 : 0, n, cut.rowBlocks, cut.columnBlocks, cut.rows, cut.columns, ACTIVATIONS[activation],
  );
  heap.free(packed);
  heap.free(table);
}

/** cutBlocks — halves the larger side of a chunk until there are enough chunks for many threads or they would be too small. */
function cutBlocks(m: number, n: number, k: number, batch: number): { rows: number; columns: number; rowBlocks: number; columnBlocks: number } {
  let rows = Math.min(MAX_ROWS, roundUp(m, MR));
  let columns = Math.min(MAX_COLUMNS, roundUp(n, NR));
  const count = (): number => Math.ceil(m / rows) * Math.ceil(n / columns) * batch;
  while (count() < WANTED_CHUNKS && rows * columns * k > 2 * MIN_CHUNK_WORK && (rows > MR || columns > NR)) {
    if (rows >= columns || columns === NR) rows = roundUp(rows / 2, MR);
    else columns = roundUp(columns / 2, NR);
  }
  return { rows, columns, rowBlocks: Math.ceil(m / rows), columnBlocks: Math.ceil(n / columns) };
}

function roundUp(value: number, multiple: number): number {
  return Math.ceil(value / multiple) * multiple;
}
