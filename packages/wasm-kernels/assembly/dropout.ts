// Dropout whose mask is a function of a key.
import { floatArg, intArg, pointerArg } from './args';
import { keepWhere, randomBits } from './threefry';

const CHUNK: i32 = 16384;
/** Elements whose bits are drawn at a time. */
const RUN: i32 = 1024;

/**
 * dropout — one chunk: y = x / (1 − rate) where the element's 32 bits are ≥ rate · 2³², else x · 0.
 * args: 0 x, 1 y, 2 size, 3 threshold (u32), 4 factor 1 / (1 − rate), 5 key0 (u32), 6 key1 (u32).
 */
export function dropout(chunk: i32, args: usize, scratch: usize): void {
  const end = min((chunk + 1) * CHUNK, intArg(args, 2));
  const threshold = <u32>pointerArg(args, 3), key0 = <u32>pointerArg(args, 5), key1 = <u32>pointerArg(args, 6);
  for (let i = chunk * CHUNK; i < end; i += RUN) {
    const count = min(RUN, end - i);
    const bits = randomBits(scratch, <u64>i, count, key0, key1);
    const at = <usize>i << 2;
    keepWhere(pointerArg(args, 0) + at, pointerArg(args, 1) + at, count, bits, threshold, floatArg(args, 4));
  }
}
