/** The battery for other packages of this repository: `@evenkeel/wasm-kernels/battery`, which is not published. */
export type { Draw, Values } from './draw.ts';
export { nameOf, ROWS, type Row } from './rows.ts';
export { testRows } from './testRows.ts';
