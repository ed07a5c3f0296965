// Rotary positions: each pair of channels is turned by the angle of its token.
import { floatArg, intArg, pointerArg } from './args';
import { madd, splat } from './simd';

/**
 * rotary — a chunk of tokens, each of `heads` rows of which the first `rotary channels` are turned and the rest copied.
 * args: 0 x, 1 y, 2 table (rows × (cosines, then sines) of half the rotary channels; token i has row i mod rows), 3 tokens, 4 heads,
 * 5 channels, 6 rotary channels, 7 table rows, 8 interleaved (pairs are neighbours; 0: halves apart), 9 sign of the angle,
 * 10 tokens per chunk.
 */
export function rotary(chunk: i32, args: usize, scratch: usize): void {
  const heads = intArg(args, 4), rows = intArg(args, 7), perChunk = intArg(args, 10);
  const interleaved = intArg(args, 8), half = intArg(args, 6) / 2;
  const sign = floatArg(args, 9);
  const bytes = <usize>intArg(args, 5) << 2;
  const turned = <usize>half << 3;
  const end = min((chunk + 1) * perChunk, intArg(args, 3));
  for (let token = chunk * perChunk; token < end; token++) {
    const table = pointerArg(args, 2) + <usize>(token % rows) * turned;
    const start = <usize>token * <usize>heads * bytes;
    let x = pointerArg(args, 0) + start, y = pointerArg(args, 1) + start;
    for (let head = 0; head < heads; head++, x += bytes, y += bytes) {
      if (interleaved) turnNeighbours(x, y, table, half, sign);
      else turnHalves(x, y, table, half, sign);
      if (bytes > turned) memory.copy(y + turned, x + turned, bytes - turned);
    }
  }
}

/** (a, b) → (a cos − b sin, b cos + a sin) with a in the first half and b in the second. */
function turnHalves(x: usize, y: usize, table: usize, half: i32, sign: f32): void {
  const apart = <usize>half << 2;
  const sign4 = splat(sign);
  let i = 0;
  for (; i + 4 <= half; i += 4, x += 16, y += 16, table += 16) {
    const a = v128.load(x), b = v128.load(x + apart);
    const cos = v128.load(table), sin = f32x4.mul(v128.load(table + apart), sign4);
    v128.store(y, madd(f32x4.neg(b), sin, f32x4.mul(a, cos)));
    v128.store(y + apart, madd(a, sin, f32x4.mul(b, cos)));
  }
  for (; i < half; i++, x += 4, y += 4, table += 4) {
    const a = load<f32>(x), b = load<f32>(x + apart);
    const cos = load<f32>(table), sin = load<f32>(table + apart) * sign;
    store<f32>(y, a * cos - b * sin);
    store<f32>(y + apart, b * cos + a * sin);
  }
}

/** The same with a and b side by side: two pairs are one vector. */
function turnNeighbours(x: usize, y: usize, table: usize, half: i32, sign: f32): void {
  const apart = <usize>half << 2;
  const signs = f32x4.replace_lane(f32x4.replace_lane(splat(sign), 0, -sign), 2, -sign);
  let i = 0;
  for (; i + 2 <= half; i += 2, x += 16, y += 16, table += 8) {
    const pairs = v128.load(x);
    const cos = v128.load64_zero(table), sin = v128.load64_zero(table + apart);
    const swapped = f32x4.mul(v128.shuffle<f32>(pairs, pairs, 1, 0, 3, 2), signs);
    v128.store(y, madd(swapped, v128.shuffle<f32>(sin, sin, 0, 0, 1, 1), f32x4.mul(pairs, v128.shuffle<f32>(cos, cos, 0, 0, 1, 1))));
  }
  if (i < half) {
    const a = load<f32>(x), b = load<f32>(x + 4);
    const cos = load<f32>(table), sin = load<f32>(table + apart) * sign;
    store<f32>(y, a * cos - b * sin);
    store<f32>(y + 4, b * cos + a * sin);
  }
}
