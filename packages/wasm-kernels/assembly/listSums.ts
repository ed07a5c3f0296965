// Sums over whole tensors of a list, in shares of one chunk each, that the host or `rootOfSum` adds up.
import { intArg, pointerArg } from './args';
import { squaresOf } from './norm';
import { address, numberOf } from './optimizers';
import { sumOf } from './reduce';

/**
 * shares — the sum of one chunk, or of the squares of its distances from the tensor's centre; 0 where the tensor's number in `unless` is
 * not 0: then it is not read. args: 0 table (x; index), 1 sums, one float per chunk, 2 power (1 or 2), 3 centres, one per tensor (0: all
 * are 0), 4 unless (0: none).
 */
export function shares(chunk: i32, args: usize, scratch: usize): void {
  const row = pointerArg(args, 0) + <usize>chunk * 12;
  const x = address(row, 0), count = load<i32>(row, 4), index = row + 8;
  let sum: f32 = 0;
  if (numberOf(pointerArg(args, 4), index, 0) == 0) {
    sum = intArg(args, 2) == 2 ? squaresOf(x, count, numberOf(pointerArg(args, 3), index, 0)) : sumOf(x, count);
  }
  store<f32>(pointerArg(args, 1) + (<usize>chunk << 2), sum);
}

/** rootOfSum — the root of a sum, in one chunk; Infinity where the sum overflows f32. args: 0 x, 1 count, 2 result. */
export function rootOfSum(chunk: i32, args: usize, scratch: usize): void {
  const count = intArg(args, 1);
  let sum: f64 = 0;
  for (let i = 0; i < count; i++) sum += <f64>load<f32>(pointerArg(args, 0) + (<usize>i << 2));
  store<f32>(pointerArg(args, 2), sqrt(<f32>sum));
}
