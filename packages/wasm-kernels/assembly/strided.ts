// Steps through two arrays of one shape, each with strides of its own. A stride of 0 repeats, a negative one walks backwards.
import { intArg, pointerArg } from './args';

/** Where in the scratch the offsets stand, after the counters of at most 16 axes. */
const FIRST: usize = 64;
const SECOND: usize = 68;

/**
 * beginRows — sets the counters in `scratch` to row `row` of `dims` axes, which stand as (size, stride in the first array, stride in
 * the second; both in elements) from argument `at` on.
 */
export function beginRows(scratch: usize, args: usize, at: i32, dims: i32, row: i32): void {
  let first = 0, second = 0;
  for (let axis = dims - 1; axis >= 0; axis--) {
    const entry = at + 3 * axis;
    const size = intArg(args, entry);
    const index = row % size;
    row /= size;
    store<i32>(scratch + (<usize>axis << 2), index);
    first += index * intArg(args, entry + 1);
    second += index * intArg(args, entry + 2);
  }
  store<i32>(scratch + FIRST, first);
  store<i32>(scratch + SECOND, second);
}

/** firstOffset — bytes from the start of the first array, of elements of 2^shift bytes, to the row that the counters stand at. */
// @ts-ignore: decorator
@inline
export function firstOffset(scratch: usize, shift: i32 = 2): usize {
  return <usize>load<i32>(scratch + FIRST) << shift;
}

/** secondOffset — the same for the second array. */
// @ts-ignore: decorator
@inline
export function secondOffset(scratch: usize, shift: i32 = 2): usize {
  return <usize>load<i32>(scratch + SECOND) << shift;
}

/** nextRow — moves the counters on by one row. */
export function nextRow(scratch: usize, args: usize, at: i32, dims: i32): void {
  let first = load<i32>(scratch + FIRST), second = load<i32>(scratch + SECOND);
  for (let axis = dims - 1; axis >= 0; axis--) {
    const entry = at + 3 * axis;
    const counter = scratch + (<usize>axis << 2);
    const size = intArg(args, entry), next = load<i32>(counter) + 1;
    first += intArg(args, entry + 1);
    second += intArg(args, entry + 2);
    if (next < size) {
      store<i32>(counter, next);
      break;
    }
    store<i32>(counter, 0);
    first -= size * intArg(args, entry + 1);
    second -= size * intArg(args, entry + 2);
  }
  store<i32>(scratch + FIRST, first);
  store<i32>(scratch + SECOND, second);
}

/**
 * copyStrided — rows of elements of 4 bytes or 1 from one pattern to another. args: 0 from, 1 to, 2 rows, 3 elements per row, 4 stride
 * within a row of `from` (in `to` it is 1), 5 rows per chunk, 6 log₂ of the bytes per element, 7 number of axes that the rows stand
 * for, 8… (size, stride in `from`, stride in `to`) of each.
 */
export function copyStrided(chunk: i32, args: usize, scratch: usize): void {
  const count = intArg(args, 3), step = intArg(args, 4), perChunk = intArg(args, 5), shift = intArg(args, 6), dims = intArg(args, 7);
  const end = min((chunk + 1) * perChunk, intArg(args, 2));
  const from = pointerArg(args, 0), to = pointerArg(args, 1);
  beginRows(scratch, args, 8, dims, chunk * perChunk);
  for (let row = chunk * perChunk; row < end; row++) {
    const rowFrom = from + firstOffset(scratch, shift), rowTo = to + secondOffset(scratch, shift);
    if (shift == 0) copyBytes(rowFrom, rowTo, count, step);
    else copyWords(rowFrom, rowTo, count, step);
    nextRow(scratch, args, 8, dims);
  }
}

function copyWords(from: usize, to: usize, count: i32, step: i32): void {
  if (step == 1 && count > 8) {
    memory.copy(to, from, <usize>count << 2);
    return;
  }
  let i = 0;
  if (step == 0) {
    const value = v128.load32_splat(from);
    for (; i + 4 <= count; i += 4, to += 16) v128.store(to, value);
  }
  const stride = <usize>step << 2;
  for (; i < count; i++, from += stride, to += 4) store<u32>(to, load<u32>(from));
}

function copyBytes(from: usize, to: usize, count: i32, step: i32): void {
  if (step == 1) memory.copy(to, from, count);
  else if (step == 0) memory.fill(to, load<u8>(from), count);
  else for (let i = 0; i < count; i++, from += step, to++) store<u8>(to, load<u8>(from));
}
