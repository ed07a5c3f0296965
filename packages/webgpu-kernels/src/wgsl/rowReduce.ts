/** Reductions over a workgroup: every thread brings a value, every thread gets the same result. In a fixed order, so always the same bits. */

/** RowReduction — `type` is WGSL's; `combine` is an expression of `a` and `b`. */
export type RowReduction = { readonly name: string; readonly type: string; readonly combine: string };

/**
 * rowReduce — for `declarations`: `fn <name>(value: <type>, localIndex: u32) -> <type>`, a tree over the first `threads`
 * invocations, which must be a power of two and all of the workgroup. To be called by all of them.
 */
export function rowReduce(threads: number, { name, type, combine }: RowReduction): string {
  const steps = Array.from({ length: Math.log2(threads) }, (_, i) => threads >> (i + 1));
  return /* wgsl */ `
var<workgroup> ${name}Parts: array<${type}, ${threads}>;
fn ${name}(value: ${type}, localIndex: u32) -> ${type} {
  ${name}Parts[localIndex] = value;
  workgroupBarrier();
${steps.map((step) => `  if (localIndex < ${step}u) { let a = ${name}Parts[localIndex]; let b = ${name}Parts[localIndex + ${step}u]; ${name}Parts[localIndex] = ${combine}; }
  workgroupBarrier();`).join('\n')}
  let total = ${name}Parts[0];
  workgroupBarrier();
  return total;
}`;
}

/** rowSum — the sum of what all threads bring, of type f32 or a vector. */
export function rowSum(threads: number, name: string, type: 'f32' | 'vec2f' = 'f32'): string {
  return rowReduce(threads, { name, type, combine: 'a + b' });
}
