import { rowLoop, rowReduce } from './rowReduce.ts';

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

/**
 * expSumOfRow — for `main`: `own`, the pair of this thread's numbers of its row of `x` (see rowStart), and with
 * `summed` also `total`, their sum. Narrow rows too are taken four numbers at a time: five exponentials for four of them.
 */
export function expSumOfRow(wide: boolean, threads: number, x: string, summed = false): string {
  const add = (count: 1 | 4): string => `own = expSumOf${count}(own, v);${summed ? ` total += ${count === 4 ? 'dot(v, vec4f(1.0))' : 'v'};` : ''}`;
  const at = (k: number): string => `${x}[start + i + ${k * threads}u]`;
  const loop = wide ? rowLoop(threads, `let v = ${x}[start + i]; ${add(4)}`) : /* wgsl */ `
  var i = lane;
  for (; i + ${3 * threads}u < units; i += ${4 * threads}u) { let v = vec4f(${[0, 1, 2, 3].map(at).join(', ')}); ${add(4)} }
  for (; i < units; i += ${threads}u) { let v = ${x}[start + i]; ${add(1)} }`;
  return `
  var own = EXP_SUM_EMPTY;${summed ? ' var total = 0.0;' : ''}
  ${loop}`;
}
