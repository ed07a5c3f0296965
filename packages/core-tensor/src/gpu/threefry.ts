/**
 * WGSL_THREEFRY — for `declarations`: the generator of seed.ts in WGSL, so that a kernel draws the same bits as every other backend.
 *
 *     fn threefry2x32(key: vec2u, counter: vec2u) -> vec2u      the block of a counter
 *     fn randomWord(key: vec2u, i: u32) -> u32                  word i of `randomBits`; both words of a block cost one block
 *
 * The key are the two words of `seedKey(seed)`; word i is dropped (see dropout) where it is below `dropThreshold(rate)`.
 */
export const WGSL_THREEFRY = /* wgsl */ `
fn threefryRounds(x: vec2u, r: vec4u) -> vec2u {
  var y = x;
  y.x += y.y; y.y = ((y.y << r.x) | (y.y >> (32u - r.x))) ^ y.x;
  y.x += y.y; y.y = ((y.y << r.y) | (y.y >> (32u - r.y))) ^ y.x;
  y.x += y.y; y.y = ((y.y << r.z) | (y.y >> (32u - r.z))) ^ y.x;
  y.x += y.y; y.y = ((y.y << r.w) | (y.y >> (32u - r.w))) ^ y.x;
  return y;
}
fn threefry2x32(key: vec2u, counter: vec2u) -> vec2u {
  let last = 0x1bd11bdau ^ key.x ^ key.y;
  const even = vec4u(13u, 15u, 26u, 6u);
  const odd = vec4u(17u, 29u, 16u, 24u);
  var x = threefryRounds(counter + key, even) + vec2u(key.y, last + 1u);
  x = threefryRounds(x, odd) + vec2u(last, key.x + 2u);
  x = threefryRounds(x, even) + vec2u(key.x, key.y + 3u);
  x = threefryRounds(x, odd) + vec2u(key.y, last + 4u);
  return threefryRounds(x, even) + vec2u(last, key.x + 5u);
}
fn randomWord(key: vec2u, i: u32) -> u32 {
  let block = threefry2x32(key, vec2u(i >> 1u, 0u));
  return select(block.x, block.y, (i & 1u) == 1u);
}
`;

/** dropThreshold — the smallest word that is kept at this rate: an element is dropped where its word is below. In [0, 2³² − 1]. */
export function dropThreshold(rate: number): number {
  return Math.min(Math.ceil(rate * 2 ** 32), 2 ** 32 - 1);
}
