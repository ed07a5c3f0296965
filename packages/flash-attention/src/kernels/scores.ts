import { WGSL_THREEFRY } from '@evenkeel/core-tensor';
import type { Variant } from './variant.ts';

/** LOWEST — stands for −Infinity where a maximum begins: less itself it is 0, and e to it is 0. */
export const LOWEST = '-3.4e38';

/**
 * scoreFunctions — WGSL of what makes a score out of a product, for four pairs of a query i and a key j:
 *
 *     capped(x)                scale · x, or c·tanh(scale · x / c)
 *     scored(y, i, j)          y − slope · |i + s − t − j| + bias
 *     isKept(i, j)             whether the block mask lets the pair through
 *     keepRow(i, j), keepColumn(i, j)   factors of dropout for keys j … j + 3 of a query, or for queries i … i + 3 of a key
 *
 * They read the `var<private>`s that `enterHead` sets.
 */
export function scoreFunctions(variant: Variant): string {
  const { slopes, bias, softcap, mask, dropout } = variant;
  const biasAt = 'biasAt + vec4u(i) * u.biasI + vec4u(j) * u.biasJ';
  return [
    'var<private> delta: i32;',
    'var<private> firstRow: u32;',
    slopes ? 'var<private> slope: f32;' : '',
    bias ? 'var<private> biasAt: u32;' : '',
    softcap
      ? `fn capped(x: vec4f) -> vec4f {
          let y = u.scale / u.softcap * x; let z = y * y;
          // The built-in tanh is exact against 1 only: small scores need a series, which is exact against themselves.
          let near = y + y * z * (${TANH.slice(1).reduce((sum, c) => `(${c.toPrecision(9)} + z * ${sum})`, TANH[0].toPrecision(9))});
          let far = sign(y) * (1.0 - 2.0 / (exp(min(2.0 * abs(y), vec4f(40.0))) + 1.0));
          // NaN by its bits: compilers may take for granted that y != y is never true.
          return u.softcap * select(select(far, near, z < vec4f(0.25)), y, (bitcast<vec4u>(y) & vec4u(0x7fffffffu)) > vec4u(0x7f800000u));
        }
        fn capSlope(y: vec4f) -> vec4f { let x = y / u.softcap; return 1.0 - x * x; }`
      : 'fn capped(x: vec4f) -> vec4f { return u.scale * x; }',
    `fn scored(x: vec4f, i: vec4i, j: vec4i) -> vec4f {
      var y = x;
      ${slopes ? 'y -= slope * vec4f(abs(i + delta - j));' : ''}
      ${bias ? `let at = ${biasAt}; y += vec4f(bias[at.x], bias[at.y], bias[at.z], bias[at.w]);` : ''}
      return y;
    }`,
    mask === 'elements'
      ? `fn isKept(i: vec4i, j: vec4i) -> vec4<bool> {
          let at = u.maskAt + vec4u(i) / u.blockQ * u.maskRow + vec4u(j) / u.blockK;
          return vec4i(extra[at.x], extra[at.y], extra[at.z], extra[at.w]) != vec4i();
        }`
      : '',
    mask === 'none' ? '' : MASK_RANGE,
    dropout ? WGSL_THREEFRY + DROPOUT : '',
  ].join('\n');
}

/** Coefficients of the series of tanh y = y + y³·(…), the last first: those of z⁶ … z⁰, z = y². */
const TANH = [-929569 / 638512875, 21844 / 6081075, -1382 / 155925, 62 / 2835, -17 / 315, 2 / 15, -1 / 3] as const;

/** Whether some block of the mask that rows i … iEnd − 1 and keys j … jEnd − 1 touch is computed. */
const MASK_RANGE = /* wgsl */ `
fn isTileKept(i: i32, iEnd: i32, j: i32, jEnd: i32) -> bool {
  for (var row = u32(i) / u.blockQ; row <= u32(iEnd - 1) / u.blockQ; row++) {
    for (var column = u32(j) / u.blockK; column <= u32(jEnd - 1) / u.blockK; column++) {
      if (extra[u.maskAt + row * u.maskRow + column] != 0) { return true; }
    }
  }
  return false;
}`;

/** Weight (i, j) is element (row of lse)·dropKeys + j of the seed's random words, counted in 64 bits. */
const DROPOUT = /* wgsl */ `
fn elementOf(i: i32, j: i32) -> vec2u {
  let row = firstRow + u32(i);
  let a = vec2u(row & 0xffffu, row >> 16u);
  let b = vec2u(u.dropKeys & 0xffffu, u.dropKeys >> 16u);
  let m = a.y * b.x + ((a.x * b.x) >> 16u);
  let n = a.x * b.y + (m & 0xffffu);
  let low = row * u.dropKeys + u32(j);
  return vec2u(low, a.y * b.y + (m >> 16u) + (n >> 16u) + select(0u, 1u, low < u32(j)));
}
fn blockOf(element: vec2u, after: u32) -> vec2u {
  let low = (element.x >> 1u) | (element.y << 31u);
  return threefry2x32(vec2u(u.key0, u.key1), vec2u(low + after, (element.y >> 1u) + select(0u, 1u, low + after < low)));
}
fn keepRow(i: i32, j: i32) -> vec4f {
  let element = elementOf(i, j);
  let first = vec4u(blockOf(element, 0u), blockOf(element, 1u));
  var words = first;
  if ((element.x & 1u) == 1u) { words = vec4u(first.yzw, blockOf(element, 2u).x); }
  return select(vec4f(), vec4f(u.keepScale), words >= vec4u(u.threshold));
}
fn keepOne(i: i32, j: i32) -> u32 {
  let element = elementOf(i, j);
  let block = blockOf(element, 0u);
  return select(block.x, block.y, (element.x & 1u) == 1u);
}
fn keepColumn(i: i32, j: i32) -> vec4f {
  let words = vec4u(keepOne(i, j), keepOne(i + 1, j), keepOne(i + 2, j), keepOne(i + 3, j));
  return select(vec4f(), vec4f(u.keepScale), words >= vec4u(u.threshold));
}`;

/**
 * enterGroup — which of the u.blocks × u.owners × rest workgroups this one is, as `place: vec3u`. Where no axis is too long it is the place in
 * the grid; where one is, the u.groups of them are spread over the grid and counted through, at the cost of divisions that small blocks feel.
 */
export const enterGroup = ({ counted }: Variant): string => (counted
  ? `if (groupIndex >= u.groups) { return; }
    let place = vec3u(groupIndex % u.blocks, groupIndex / u.blocks % u.owners, groupIndex / u.blocks / u.owners);`
  : 'let place = group;');

/** enterSequence — `t`, `s`, and where the sequence's rows begin, for the sequence `batch`. */
export function enterSequence({ varlen }: Variant): string {
  return varlen
    ? `let qStart = extra[u.cuQAt + batch]; let kStart = extra[u.cuKAt + batch];
       let t = extra[u.cuQAt + batch + 1u] - qStart; let s = extra[u.cuKAt + batch + 1u] - kStart;
       delta = s - t;`
    : 'let qStart = 0; let kStart = 0; let t = u.t; let s = u.s; delta = s - t;';
}

/** enterHead — what the functions of scores read, for `head` of the sequence `batch`; `firstRow` is the row of lse of its first query. */
export function enterHead({ slopes, bias }: Variant): string {
  return [
    'firstRow = batch * u.lseBatch + head * u.lseHead + u32(qStart);',
    slopes ? 'slope = bitcast<f32>(extra[u.slopesAt + batch * u.slopesBatch + head]);' : '',
    bias ? 'biasAt = batch * u.biasB + head * u.biasH;' : '',
  ].join('\n');
}
