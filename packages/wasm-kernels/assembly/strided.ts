// Steps through several arrays of one shape, each with strides of its own. A stride of 0 repeats, a negative one walks backwards.
import { intArg, pointerArg } from './args';

/**
 * beginRows — sets the counters in `scratch` to row `row` of `dims` axes, which stand as (size, `operands` strides in floats) from
 * argument `at` on.
 */
export function beginRows(scratch: usize, args: usize, at: i32, dims: i32, operands: i32, row: i32): void {
  for (let axis = dims - 1; axis >= 0; axis--) {
    const size = intArg(args, at + axis * (operands + 1));
    store<i32>(scratch + (<usize>axis << 2), row % size);
    row /= size;
  }
}

/** offsetOf — bytes from the start of an operand to the row that the counters stand at. */
export function offsetOf(scratch: usize, args: usize, at: i32, dims: i32, operands: i32, operand: i32): usize {
  let offset: i32 = 0;
  for (let axis = 0; axis < dims; axis++) {
    offset += load<i32>(scratch + (<usize>axis << 2)) * intArg(args, at + axis * (operands + 1) + 1 + operand);
  }
  return <usize>offset << 2;
}

/** nextRow — moves the counters on by one row. */
export function nextRow(scratch: usize, args: usize, at: i32, dims: i32, operands: i32): void {
  for (let axis = dims - 1; axis >= 0; axis--) {
    const counter = scratch + (<usize>axis << 2);
    const next = load<i32>(counter) + 1;
    if (next < intArg(args, at + axis * (operands + 1))) {
      store<i32>(counter, next);
      return;
    }
    store<i32>(counter, 0);
  }
}

/**
 * copyStrided — rows of floats from one pattern to another. args: 0 from, 1 to, 2 rows, 3 floats per row, 4 stride within a row of
 * `from` (in `to` it is 1), 5 rows per chunk, 6 number of axes that the rows stand for, 7… (size, stride in `from`, stride in `to`) of each.
 */
export function copyStrided(chunk: i32, args: usize, scratch: usize): void {
  const count = intArg(args, 3), step = intArg(args, 4), perChunk = intArg(args, 5), dims = intArg(args, 6);
  const end = min((chunk + 1) * perChunk, intArg(args, 2));
  beginRows(scratch, args, 7, dims, 2, chunk * perChunk);
  for (let row = chunk * perChunk; row < end; row++) {
    const from = pointerArg(args, 0) + offsetOf(scratch, args, 7, dims, 2, 0);
    copyRow(from, pointerArg(args, 1) + offsetOf(scratch, args, 7, dims, 2, 1), count, step);
    nextRow(scratch, args, 7, dims, 2);
  }
}

function copyRow(from: usize, to: usize, count: i32, step: i32): void {
  if (step == 1 && count > 8) {
    memory.copy(to, from, <usize>count << 2);
    return;
  }
  let i = 0;
  if (step == 0) {
    const value = v128.load_splat<f32>(from);
    for (; i + 4 <= count; i += 4, to += 16) v128.store(to, value);
  }
  const stride = <usize>step << 2;
  for (; i < count; i++, from += stride, to += 4) store<f32>(to, load<f32>(from));
}
