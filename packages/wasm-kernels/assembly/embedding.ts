// Rows of a table by index, and the gradient of that.
import { intArg, pointerArg } from './args';

/** embedding — a chunk of rows of y. args: 0 weight (v × c), 1 ids (i32), 2 y, 3 count of ids, 4 c, 5 rows per chunk. */
export function embedding(chunk: i32, args: usize, scratch: usize): void {
  const bytes = <usize>intArg(args, 4) << 2;
  const perChunk = intArg(args, 5);
  const end = min((chunk + 1) * perChunk, intArg(args, 3));
  for (let row = chunk * perChunk; row < end; row++) {
    const id = <usize>load<i32>(pointerArg(args, 1) + (<usize>row << 2));
    memory.copy(pointerArg(args, 2) + <usize>row * bytes, pointerArg(args, 0) + id * bytes, bytes);
  }
}

/**
 * embeddingGrad — a block of columns of dweight, which one thread sums over all ids in their order: no atomics, the same result
 * for any number of threads. args: 0 ids, 1 dy, 2 dweight (v × c), 3 count of ids, 4 c, 5 v, 6 columns per chunk (a multiple of 4).
 */
export function embeddingGrad(chunk: i32, args: usize, scratch: usize): void {
  const ids = pointerArg(args, 0), dy = pointerArg(args, 1), dweight = pointerArg(args, 2);
  const c = intArg(args, 4), v = intArg(args, 5), columns = intArg(args, 6);
  const first = chunk * columns;
  const count = min(columns, c - first);
  const rowBytes = <usize>c << 2;
  const offset = <usize>first << 2;
  for (let row = 0; row < v; row++) memory.fill(dweight + <usize>row * rowBytes + offset, 0, <usize>count << 2);
  for (let n = 0; n < intArg(args, 3); n++) {
    let from = dy + <usize>n * rowBytes + offset;
    let to = dweight + <usize>load<i32>(ids + (<usize>n << 2)) * rowBytes + offset;
    let i = 0;
    for (; i + 4 <= count; i += 4, from += 16, to += 16) v128.store(to, f32x4.add(v128.load(to), v128.load(from)));
    for (; i < count; i++, from += 4, to += 4) store<f32>(to, load<f32>(to) + load<f32>(from));
  }
}
