import { gpuProgram, memoised } from '@evenkeel/core-tensor';
import type { Word } from './broadcast.ts';
import { WGSL_IS_NAN } from './wgsl.ts';

export type Reduction = 'sum' | 'max' | 'min';

/** LANES — invocations of a workgroup. */
export const LANES = 256;
/** ROW_SPAN — elements of a row that one workgroup reduces; a longer row is reduced in parts, and those again. A multiple of four. */
export const ROW_SPAN = 16384;
/** COLUMN_SPAN — rows that one workgroup reduces in each of its columns. */
export const COLUMN_SPAN = 512;

/** `combine(a, b)` of numbers, and `combine4` of vectors of four; a NaN wins. */
function combination(word: Word, reduction: Reduction): string {
  const vector = `vec4<${word}>`;
  if (reduction === 'sum') return `fn combine(a: ${word}, b: ${word}) -> ${word} { return a + b; } fn combine4(a: ${vector}, b: ${vector}) -> ${vector} { return a + b; }`;
  if (word === 'i32') return `fn combine(a: i32, b: i32) -> i32 { return ${reduction}(a, b); } fn combine4(a: vec4i, b: vec4i) -> vec4i { return ${reduction}(a, b); }`;
  const wins = reduction === 'max' ? 'b > a' : 'b < a';
  const isNan4 = WGSL_IS_NAN(4).replace('isNan', 'isNan4');
  return /* wgsl */ `
    ${WGSL_IS_NAN(1)}
    ${isNan4}
    fn combine(a: f32, b: f32) -> f32 { return select(a, b, ((${wins}) & !isNan(a)) | isNan(b)); }
    fn combine4(a: vec4f, b: vec4f) -> vec4f { return select(a, b, ((${wins}) & !isNan4(a)) | isNan4(b)); }`;
}

const scaled = (word: Word, value: string): string => (word === 'f32' ? `${value} * u.scale` : value);

/**
 * rowsProgram — reduces each part of each row: rows · parts → one number each, `lanes` invocations side by side on one, which
 * read neighbours at the same time and then meet in workgroup memory. `wide`: rows of whole vectors of four.
 */
export const rowsProgram = memoised((word: Word, reduction: Reduction, lanes: number, wide: boolean) => gpuProgram({
  name: `${reduction}Rows`,
  bindings: { x: wide ? (word === 'f32' ? 'read vec4f' : 'read vec4i') : `read ${word}`, y: `write ${word}` },
  uniforms: { rows: 'u32', columns: 'u32', parts: 'u32', start: word, scale: 'f32' },
  workgroupSize: LANES,
  declarations: /* wgsl */ `
    ${combination(word, reduction)}
    var<workgroup> found: array<${word}, ${LANES}>;`,
  main: /* wgsl */ `
    let lane = localIndex % ${lanes}u;
    let row = groupIndex * ${LANES / lanes}u + localIndex / ${lanes}u;
    var best = u.start;
    if (row < u.rows) {
      let columns = u.columns${wide ? ' / 4u' : ''};
      let first = (row % u.parts) * ${wide ? ROW_SPAN / 4 : ROW_SPAN}u;
      let end = min(first + ${wide ? ROW_SPAN / 4 : ROW_SPAN}u, columns);
      let base = (row / u.parts) * columns;
      ${wide ? /* wgsl */ `
      var best4 = vec4<${word}>(u.start);
      for (var i = first + lane; i < end; i += ${lanes}u) { best4 = combine4(best4, x[base + i]); }
      best = combine(combine(best4.x, best4.y), combine(best4.z, best4.w));`
    : `for (var i = first + lane; i < end; i += ${lanes}u) { best = combine(best, x[base + i]); }`}
    }
    found[localIndex] = best;
    for (var half = ${lanes / 2}u; half > 0u; half >>= 1u) {
      workgroupBarrier();
      if (lane < half) { found[localIndex] = combine(found[localIndex], found[localIndex + half]); }
    }
    if (lane == 0u && row < u.rows) { y[row] = ${scaled(word, 'found[localIndex]')}; }`,
}));

/**
 * columnsProgram — reduces the middle axis of outer × rows × columns: a workgroup has `width` neighbouring columns and at most
 * COLUMN_SPAN rows of one outer index, each of its 256 / `width` lines every so many rows; the lines meet in workgroup memory.
 */
export const columnsProgram = memoised((word: Word, reduction: Reduction, width: number) => gpuProgram({
  name: `${reduction}Columns`,
  bindings: { x: `read ${word}`, y: `write ${word}` },
  uniforms: { groups: 'u32', rows: 'u32', columns: 'u32', parts: 'u32', tiles: 'u32', start: word, scale: 'f32' },
  workgroupSize: LANES,
  declarations: /* wgsl */ `
    ${combination(word, reduction)}
    var<workgroup> found: array<${word}, ${LANES}>;`,
  main: /* wgsl */ `
    if (groupIndex >= u.groups) { return; }
    let line = localIndex / ${width}u;
    let column = (groupIndex % u.tiles) * ${width}u + localIndex % ${width}u;
    let block = groupIndex / u.tiles; // outer · parts + part
    let first = (block % u.parts) * ${COLUMN_SPAN}u;
    let end = min(first + ${COLUMN_SPAN}u, u.rows);
    var best = u.start;
    if (column < u.columns) {
      let base = (block / u.parts) * u.rows;
      for (var row = first + line; row < end; row += ${LANES / width}u) { best = combine(best, x[(base + row) * u.columns + column]); }
    }
    found[localIndex] = best;
    for (var half = ${LANES / 2}u; half >= ${width}u; half >>= 1u) {
      workgroupBarrier();
      if (localIndex < half) { found[localIndex] = combine(found[localIndex], found[localIndex + half]); }
    }
    if (line == 0u && column < u.columns) { y[block * u.columns + column] = ${scaled(word, 'found[localIndex]')}; }`,
}));
