// Dropout whose mask is a function of a key: Threefry-2x32 with 20 rounds (Salmon et al. 2011), as in core-tensor's seed.ts.
import { floatArg, intArg, pointerArg } from './args';

const CHUNK: i32 = 16384;

/**
 * dropout — one chunk: y = x / (1 − rate) where the element's 32 bits are ≥ rate · 2³², else 0.
 * args: 0 x, 1 y, 2 size, 3 threshold (u32), 4 factor 1 / (1 − rate), 5 key0 (u32), 6 key1 (u32).
 */
export function dropout(chunk: i32, args: usize, scratch: usize): void {
  const first = chunk * CHUNK;
  const end = min(first + CHUNK, intArg(args, 2));
  const threshold = <u32>pointerArg(args, 3);
  const factor = floatArg(args, 4);
  const x = pointerArg(args, 0), y = pointerArg(args, 1);
  for (let i = first; i < end; i += 2) {
    const bits = threefry(<u32>pointerArg(args, 5), <u32>pointerArg(args, 6), <u32>i >> 1, 0);
    drop(x, y, i, <u32>bits, threshold, factor);
    if (i + 1 < end) drop(x, y, i + 1, <u32>(bits >> 32), threshold, factor);
  }
}

// @ts-ignore: decorator
@inline
function drop(x: usize, y: usize, i: i32, bits: u32, threshold: u32, factor: f32): void {
  const at = <usize>i << 2;
  store<f32>(y + at, bits >= threshold ? load<f32>(x + at) * factor : 0);
}

/** threefry — both words of a block: the first in the low half. */
function threefry(key0: u32, key1: u32, counter0: u32, counter1: u32): u64 {
  const key2 = 0x1bd11bda ^ key0 ^ key1;
  let x0 = counter0 + key0;
  let x1 = counter1 + key1;
  for (let group: u32 = 0; group < 5; group++) {
    const even = (group & 1) == 0;
    x0 += x1; x1 = rotl<u32>(x1, even ? 13 : 17) ^ x0;
    x0 += x1; x1 = rotl<u32>(x1, even ? 15 : 29) ^ x0;
    x0 += x1; x1 = rotl<u32>(x1, even ? 26 : 16) ^ x0;
    x0 += x1; x1 = rotl<u32>(x1, even ? 6 : 24) ^ x0;
    const at = (group + 1) % 3;
    const next = (group + 2) % 3;
    x0 += at == 0 ? key0 : at == 1 ? key1 : key2;
    x1 += (next == 0 ? key0 : next == 1 ? key1 : key2) + group + 1;
  }
  return (<u64>x1 << 32) | <u64>x0;
}
