/**
 * Programs over rows: `threads` invocations of a workgroup, a power of two, go through a row side by side. Where that are few,
 * a workgroup has several rows. Sums are made in a fixed order, so always the same bits.
 */

/** Invocations that a workgroup has at least. */
const SMALLEST_GROUP = 64;

/** rowsPerGroup — how many rows a workgroup has at that many threads per row. */
export const rowsPerGroup = (threads: number): number => Math.max(1, SMALLEST_GROUP / threads);

/** groupSize — the workgroup of a program over rows. */
export const groupSize = (threads: number): number => threads * rowsPerGroup(threads);

/**
 * rowStart — for `main`, first: `row`; `lane`, the place among its threads; `units`, the length of the row, and 0 beyond the last
 * of `u.rows` rows, where all that follows does nothing but keep step at barriers; `start`, the row's first unit.
 */
export const rowStart = (threads: number): string => /* wgsl */ `
  let lane = localIndex % ${threads}u;
  let row = groupIndex * ${rowsPerGroup(threads)}u + localIndex / ${threads}u;
  let units = select(0u, u.units, row < u.rows);
  let start = row * u.units;`;

/** rowLoop — for `main`: `body` for each `i` of the units that this thread has. */
export const rowLoop = (threads: number, body: string): string => `for (var i = lane; i < units; i += ${threads}u) { ${body} }`;

/** RowReduction — `type` is WGSL's; `combine` is an expression of `a` and `b`. */
export type RowReduction = { readonly name: string; readonly type: string; readonly combine: string };

/**
 * rowReduce — for `declarations`: `fn <name>(value: <type>, localIndex: u32) -> <type>`, of what the threads of a row bring. To be
 * called by the whole workgroup. Some threads add up a few values each, then all add up what those have: two steps of up to 16
 * rather than a tree of up to 8, because waiting costs more than adding.
 */
export function rowReduce(threads: number, { name, type, combine }: RowReduction): string {
  const adding = 2 ** Math.ceil(Math.log2(threads) / 2);
  const parts = `${name}Parts`;
  return /* wgsl */ `
var<workgroup> ${parts}: array<${type}, ${groupSize(threads)}>;
fn ${name}(value: ${type}, localIndex: u32) -> ${type} {
  let lane = localIndex % ${threads}u;
  ${parts}[localIndex] = value;
  workgroupBarrier();
  if (lane < ${adding}u) {
    var a = value;
    for (var k = ${adding}u; k < ${threads}u; k += ${adding}u) { let b = ${parts}[localIndex + k]; a = ${combine}; }
    ${parts}[localIndex] = a;
  }
  workgroupBarrier();
  var a = ${parts}[localIndex - lane];
  for (var k = 1u; k < ${adding}u; k++) { let b = ${parts}[localIndex - lane + k]; a = ${combine}; }
  workgroupBarrier();
  return a;
}`;
}

/** rowSum — the sum of what all threads bring, of type f32 or a vector. */
export function rowSum(threads: number, name: string, type: 'f32' | 'vec2f' = 'f32'): string {
  return rowReduce(threads, { name, type, combine: 'a + b' });
}
