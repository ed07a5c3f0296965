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

/**
 * logSumExp — for `declarations`: the running form of Σ eˣ as a pair (m, Σ e^(x − m)), read in one pass over memory.
 *
 *     fn expSumOf4(pair: vec2f, x: vec4f) -> vec2f      fn expSumOf1(pair: vec2f, x: f32) -> vec2f      with one or four more
 *     fn rowExpSum(pair: vec2f, localIndex: u32) -> vec2f    all threads' pairs as one
 *     EXP_SUM_EMPTY                                      the pair of no numbers
 *
 * A NaN or +∞ makes the sum NaN; −∞ adds nothing.
 */
export function logSumExp(threads: number): string {
  return /* wgsl */ `
const EXP_SUM_EMPTY = vec2f(-3.4e38, 0.0);
fn larger(a: f32, b: f32) -> f32 { return select(a, b, b > a); }
fn expSumOf1(pair: vec2f, x: f32) -> vec2f {
  let m = larger(pair.x, x);
  return vec2f(m, pair.y * exp(pair.x - m) + exp(x - m));
}
fn expSumOf4(pair: vec2f, x: vec4f) -> vec2f {
  let m = larger(larger(larger(pair.x, x.x), larger(x.y, x.z)), x.w);
  return vec2f(m, pair.y * exp(pair.x - m) + dot(exp(x - m), vec4f(1.0)));
}
fn joinedExpSums(a: vec2f, b: vec2f) -> vec2f {
  let m = larger(a.x, b.x);
  return vec2f(m, a.y * exp(a.x - m) + b.y * exp(b.x - m));
}
${rowReduce(threads, { name: 'rowExpSum', type: 'vec2f', combine: 'joinedExpSums(a, b)' })}`;
}
