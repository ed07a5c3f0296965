// Random bits that are a function of a key and a position: Threefry-2x32 with 20 rounds (Salmon et al. 2011), as in core-tensor's
// seed.ts. Word i of the stream is word i & 1 of the block with counter i >> 1.
import { splat } from './simd';

/**
 * randomBits — writes words `first` … `first + count − 1` of the stream to `to`, eight (four blocks) at a time.
 *
 * @param to  room for count + 8 words, rounded up to a multiple of 8
 * @returns   where word `first` stands: a block is written whole, so there may be one word before it.
 */
export function randomBits(to: usize, first: u64, count: i32, key0: u32, key1: u32): usize {
  const odd = <i32>(first & 1);
  let block = first >> 1;
  for (let i = 0; i < count + odd; i += 8, block += 4) fourBlocks(to + (<usize>i << 2), block, key0, key1);
  return to + (<usize>odd << 2);
}

/** The eight words of blocks `block` … `block + 3`. */
function fourBlocks(to: usize, block: u64, key0: u32, key1: u32): void {
  const low = i32x4.splat(<i32>block);
  const counter0 = i32x4.add(low, i32x4(0, 1, 2, 3));
  const carry = i32x4.lt_u(counter0, low); // −1 where the addition has run over
  const counter1 = i32x4.sub(i32x4.splat(<i32>(block >> 32)), carry);
  const k0 = i32x4.splat(key0), k1 = i32x4.splat(key1), k2 = i32x4.splat(0x1bd11bda ^ key0 ^ key1);
  let x0 = i32x4.add(counter0, k0);
  let x1 = i32x4.add(counter1, k1);
  // Written out: a shift by a constant is one instruction, by a variable three.
  x0 = i32x4.add(x0, x1); x1 = mixed(x1, x0, 13); x0 = i32x4.add(x0, x1); x1 = mixed(x1, x0, 15);
  x0 = i32x4.add(x0, x1); x1 = mixed(x1, x0, 26); x0 = i32x4.add(x0, x1); x1 = mixed(x1, x0, 6);
  x0 = i32x4.add(x0, k1); x1 = i32x4.add(x1, i32x4.add(k2, i32x4.splat(1)));
  x0 = i32x4.add(x0, x1); x1 = mixed(x1, x0, 17); x0 = i32x4.add(x0, x1); x1 = mixed(x1, x0, 29);
  x0 = i32x4.add(x0, x1); x1 = mixed(x1, x0, 16); x0 = i32x4.add(x0, x1); x1 = mixed(x1, x0, 24);
  x0 = i32x4.add(x0, k2); x1 = i32x4.add(x1, i32x4.add(k0, i32x4.splat(2)));
  x0 = i32x4.add(x0, x1); x1 = mixed(x1, x0, 13); x0 = i32x4.add(x0, x1); x1 = mixed(x1, x0, 15);
  x0 = i32x4.add(x0, x1); x1 = mixed(x1, x0, 26); x0 = i32x4.add(x0, x1); x1 = mixed(x1, x0, 6);
  x0 = i32x4.add(x0, k0); x1 = i32x4.add(x1, i32x4.add(k1, i32x4.splat(3)));
  x0 = i32x4.add(x0, x1); x1 = mixed(x1, x0, 17); x0 = i32x4.add(x0, x1); x1 = mixed(x1, x0, 29);
  x0 = i32x4.add(x0, x1); x1 = mixed(x1, x0, 16); x0 = i32x4.add(x0, x1); x1 = mixed(x1, x0, 24);
  x0 = i32x4.add(x0, k1); x1 = i32x4.add(x1, i32x4.add(k2, i32x4.splat(4)));
  x0 = i32x4.add(x0, x1); x1 = mixed(x1, x0, 13); x0 = i32x4.add(x0, x1); x1 = mixed(x1, x0, 15);
  x0 = i32x4.add(x0, x1); x1 = mixed(x1, x0, 26); x0 = i32x4.add(x0, x1); x1 = mixed(x1, x0, 6);
  x0 = i32x4.add(x0, k2); x1 = i32x4.add(x1, i32x4.add(k0, i32x4.splat(5)));
  v128.store(to, v128.shuffle<i32>(x0, x1, 0, 4, 1, 5));
  v128.store(to, v128.shuffle<i32>(x0, x1, 2, 6, 3, 7), 16);
}

/** x, its lanes rotated to the left, ⊕ y. */
// @ts-ignore: decorator
@inline
function mixed(x: v128, y: v128, by: i32): v128 {
  return v128.xor(v128.or(i32x4.shl(x, by), i32x4.shr_u(x, 32 - by)), y);
}

/** keepWhere — y = x · (bits ≥ threshold ? factor : 0), so that a NaN or an infinity that is dropped leaves a NaN. y may be x. */
export function keepWhere(x: usize, y: usize, count: i32, bits: usize, threshold: u32, factor: f32): void {
  const threshold4 = i32x4.splat(threshold), factor4 = splat(factor);
  let i = 0;
  for (; i + 4 <= count; i += 4, x += 16, y += 16, bits += 16) {
    const kept = i32x4.ge_u(v128.load(bits), threshold4);
    v128.store(y, f32x4.mul(v128.load(x), v128.and(kept, factor4)));
  }
  for (; i < count; i++, x += 4, y += 4, bits += 4) {
    store<f32>(y, load<f32>(x) * (load<u32>(bits) >= threshold ? factor : 0));
  }
}
