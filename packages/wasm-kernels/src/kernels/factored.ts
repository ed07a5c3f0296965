import type { TensorInfo } from '@tensorflow/tfjs-core';
import type { Block } from '../memory.ts';
import type { WasmBackend } from '../wasmBackend.ts';
import { ELEMENTS_PER_CHUNK, type KernelCall, type WasmKernel } from './kernel.ts';
import { listOf, numbersOf, sizeOf, tableOf } from './lists.ts';

/**
 * Second moments of matrices by rows and columns, for all parameters in one call. The list x holds float32 tensors that are seen as
 * matrices of `attrs.columns[i]` columns.
 *
 * `evenkeel/rowColumnSquares`: x → the means of squares of every row of tensor 0, of tensor 1, …, then those of every column; plus attrs eps.
 * `evenkeel/factoredRoots`: x, row, column, `mean.0` (the mean of `row`, one number per tensor) → x / √(row · column / mean).
 */
export const factoredKernels: readonly WasmKernel[] = [
  { name: 'evenkeel/rowColumnSquares', run: rowColumnSquares },
  { name: 'evenkeel/factoredRoots', run: factoredRoots },
];

/** Rows that are added one after the other before shares are: bounds the rounding error of long columns. */
const MOST_ROWS = 256;
const COLUMNS_PER_CHUNK = 256;

/** Matrix — rows, columns, and how the rows are cut into blocks. */
type Matrix = { readonly rows: number; readonly columns: number; readonly perBlock: number; readonly blocks: number };

function matricesOf({ attrs }: KernelCall, xs: readonly TensorInfo[]): Matrix[] {
  return xs.map((x, i) => {
    const columns = (attrs.columns as number[])[i] as number;
    const rows = columns === 0 ? 0 : sizeOf(x) / columns;
    const perBlock = Math.max(1, Math.min(MOST_ROWS, Math.floor(ELEMENTS_PER_CHUNK / Math.max(1, columns))));
    return { rows, columns, perBlock, blocks: Math.ceil(rows / perBlock) };
  });
}

function rowColumnSquares(call: KernelCall): TensorInfo[] {
  const { attrs, backend } = call;
  const xs = listOf(call, 'rowColumnSquares', 'x');
  const matrices = matricesOf(call, xs);
  const rowMeans = matrices.map(({ rows }) => backend.allocate([rows]));
  const columnMeans = matrices.map(({ columns }) => backend.allocate([columns]));
  const shares = matrices.map(({ blocks, columns }) => backend.intermediate(Math.max(1, blocks * columns) * 4));
  const pointers = [xs, rowMeans].map((list) => list.map((info) => backend.pointer(info)));
  runBlocks(backend, 'rowColumnSquares', matrices, 5, (i, first, count) => {
    const { columns, perBlock } = matrices[i] as Matrix;
    const share = (shares[i] as Block).pointer + (first / perBlock) * columns * 4;
    return [pointers[0]![i]! + first * columns * 4, pointers[1]![i]! + first * 4, share, count, columns];
  }, attrs.eps as number);
  addShares(backend, matrices, shares, columnMeans, attrs.eps as number);
  for (const share of shares) backend.release(share);
  return [...rowMeans, ...columnMeans];
}

/** The means of columns from the shares of all blocks of rows. */
function addShares(backend: WasmBackend, matrices: readonly Matrix[], shares: readonly Block[], means: readonly TensorInfo[], eps: number): void {
  const entries = matrices.flatMap(({ rows, columns, blocks }, i) => {
    const mean = backend.pointer(means[i] as TensorInfo);
    return Array.from({ length: Math.ceil(columns / COLUMNS_PER_CHUNK) }, (_, chunk) => {
      const first = chunk * COLUMNS_PER_CHUNK;
      return [(shares[i] as Block).pointer + first * 4, mean + first * 4, blocks, columns, Math.min(COLUMNS_PER_CHUNK, columns - first), rows];
    });
  });
  runTable(backend, 'columnMeans', entries, 6, eps);
}

function factoredRoots(call: KernelCall): TensorInfo[] {
  const { backend } = call;
  const xs = listOf(call, 'factoredRoots', 'x');
  const matrices = matricesOf(call, xs);
  const rows = listOf(call, 'factoredRoots', 'row', matrices.map((each) => ofSize(each.rows)));
  const columns = listOf(call, 'factoredRoots', 'column', matrices.map((each) => ofSize(each.columns)));
  const means = numbersOf(call, 'factoredRoots', 'mean', xs);
  const ys = xs.map(({ shape }) => backend.allocate(shape));
  const [x, row, column, y] = [xs, rows, columns, ys].map((list) => list.map((info) => backend.pointer(info)));
  runBlocks(backend, 'factoredRoots', matrices, 7, (i, first, count) => {
    const width = (matrices[i] as Matrix).columns;
    const offset = first * width * 4;
    return [x![i]! + offset, row![i]! + first * 4, column![i]!, y![i]! + offset, means + i * 4, count, width];
  });
  return ys;
}

/** What a list must be like to have tensors of that size. */
const ofSize = (size: number): TensorInfo => ({ dataId: {}, shape: [size], dtype: 'float32' });

/** Runs a kernel with one chunk per block of rows; `entry` gives its row of the table for `count` rows of tensor `i` from `first` on. */
function runBlocks(backend: WasmBackend, kernel: string, matrices: readonly Matrix[], width: number, entry: (i: number, first: number, count: number) => number[], ...args: number[]): void {
  const entries = matrices.flatMap(({ rows, perBlock, blocks }, i) =>
    Array.from({ length: blocks }, (_, block) => entry(i, block * perBlock, Math.min(perBlock, rows - block * perBlock))));
  runTable(backend, kernel, entries, width, ...args);
}

function runTable(backend: WasmBackend, kernel: string, entries: readonly number[][], width: number, ...args: number[]): void {
  const { table, words } = tableOf(backend, entries.length, width);
  entries.forEach((entry, i) => words.set(entry, i * width));
  backend.run(kernel, entries.length, table.pointer, ...args);
  backend.release(table);
}
