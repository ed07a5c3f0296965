import { UnsupportedError } from '@evenkeel/core-tensor';

/** Block — a piece of the heap. `bytes` is a multiple of 64 and at least what was asked for. */
export type Block = {
  readonly pointer: number;
  bytes: number;
  /** Filed as free space; blocks on the stacks of freed sizes are not. */
  free: boolean;
  /** Handed out by `allocate`. */
  inUse: boolean;
  /** Neighbours by address; every byte of the heap belongs to one block. */
  before: Block | undefined;
  after: Block | undefined;
  /** Neighbours in the list of free blocks of one size class. */
  previous: Block | undefined;
  next: Block | undefined;
};

export type HeapStatistics = {
  /** Bytes in blocks that are allocated now, rounded up as they are. */
  readonly bytesInUse: number;
  /** The highest `bytesInUse` since the start or the last `resetPeak`. */
  readonly peakBytes: number;
  /** Size of the WebAssembly memory; it never shrinks. */
  readonly heapBytes: number;
  readonly blocksInUse: number;
};

export type Heap = {
  allocate(bytes: number): Block;
  free(block: Block): void;
  statistics(): HeapStatistics;
  resetPeak(): void;
};

const PAGE = 65536;
const ALIGNMENT = 64;
/** The memory grows by at least this much. */
const GROWTH = 16 << 20;
const CLASSES_PER_OCTAVE = 8;

/**
 * createHeap — an allocator over one WebAssembly memory, from `base` to at most `maxBytes` (4 GiB at most).
 *
 * Two levels. A freed block first goes to a stack of blocks of exactly its size: a training step, which asks for the same
 * sizes in each round, finds them there. When that fails, the stacks are merged with their neighbours into free blocks kept
 * by size class (eight per octave), and the first that fits is split; only then does the memory grow, by 16 MiB or an eighth.
 *
 * @throws UnsupportedError  from `allocate`, past the limit; it says how much was asked for and is in use.
 */
export function createHeap(memory: WebAssembly.Memory, base: number, maxBytes: number): Heap {
  const start = alignUp(base, ALIGNMENT);
  const quick = new Map<number, Block[]>();
  const classes: (Block | undefined)[] = [];
  let heapBytes = memory.buffer.byteLength;
  let last: Block | undefined;
  let bytesInUse = 0;
  let peakBytes = 0;
  let blocksInUse = 0;
  if (heapBytes - start >= ALIGNMENT) extend(start, heapBytes - start);

  function extend(pointer: number, bytes: number): void {
    const block: Block = { pointer, bytes, free: false, inUse: false, before: last, after: undefined, previous: undefined, next: undefined };
    if (last !== undefined) last.after = block;
    last = block;
    release(block);
  }

  function insert(block: Block): void {
    const index = classOf(block.bytes);
    const head = classes[index];
    block.free = true;
    block.previous = undefined;
    block.next = head;
    if (head !== undefined) head.previous = block;
    classes[index] = block;
  }

  function remove(block: Block): void {
    if (block.previous !== undefined) block.previous.next = block.next;
    else classes[classOf(block.bytes)] = block.next;
    if (block.next !== undefined) block.next.previous = block.previous;
    block.previous = block.next = undefined;
    block.free = false;
  }

  /** Joins `block` with its free neighbours and files the result. */
  function release(block: Block): void {
    const { before, after } = block;
    if (after?.free === true) {
      remove(after);
      absorb(block, after);
    }
    if (before?.free === true) {
      remove(before);
      absorb(before, block);
      insert(before);
    } else insert(block);
  }

  function absorb(left: Block, right: Block): void {
    left.bytes += right.bytes;
    left.after = right.after;
    if (right.after !== undefined) right.after.before = left;
    if (last === right) last = left;
  }

  function flush(): void {
    for (const stack of quick.values()) {
      for (const block of stack) release(block);
    }
    quick.clear();
  }

  function take(bytes: number): Block | undefined {
    for (let index = classOf(bytes); index < classes.length; index++) {
      for (let block = classes[index]; block !== undefined; block = block.next) {
        if (block.bytes < bytes) continue;
        remove(block);
        split(block, bytes);
        return block;
      }
    }
    return undefined;
  }

  function split(block: Block, bytes: number): void {
    const rest = block.bytes - bytes;
    if (rest < ALIGNMENT) return;
    const tail: Block = {
      pointer: block.pointer + bytes, bytes: rest, free: false, inUse: false, before: block, after: block.after, previous: undefined, next: undefined,
    };
    if (block.after !== undefined) block.after.before = tail;
    block.after = tail;
    block.bytes = bytes;
    if (last === block) last = tail;
    insert(tail);
  }

  function grow(bytes: number): void {
    const tail = last?.free === true ? last.bytes : 0;
    const needed = alignUp(bytes - tail, PAGE);
    const room = maxBytes - heapBytes;
    const step = Math.min(Math.max(needed, GROWTH, alignUp(heapBytes / 8, PAGE)), room);
    if (needed > room || !(tryGrow(memory, step) || (step > needed && tryGrow(memory, needed)))) {
      throw new UnsupportedError(
        `wasm: memory must stay below ${megabytes(maxBytes)}, got a request for ${megabytes(bytes)} with ${megabytes(bytesInUse)} in use `
        + `and ${megabytes(heapBytes)} reserved. Use a smaller batch, a shorter context or rematerialise.`,
      );
    }
    const grown = memory.buffer.byteLength;
    const from = heapBytes;
    heapBytes = grown;
    extend(from, grown - from);
  }

  return {
    allocate(bytes) {
      const size = bytes <= ALIGNMENT ? ALIGNMENT : alignUp(bytes, ALIGNMENT);
      let block = quick.get(size)?.pop() ?? take(size);
      if (block === undefined) {
        flush();
        block = take(size);
      }
      if (block === undefined) {
        grow(size);
        block = take(size) as Block;
      }
      block.inUse = true;
      bytesInUse += block.bytes;
      blocksInUse++;
      if (bytesInUse > peakBytes) peakBytes = bytesInUse;
      return block;
    },
    free(block) {
      if (!block.inUse) throw new Error(`free: block must be in use, got one at ${block.pointer} that was freed before`);
      block.inUse = false;
      bytesInUse -= block.bytes;
      blocksInUse--;
      const stack = quick.get(block.bytes);
      if (stack === undefined) quick.set(block.bytes, [block]);
      else stack.push(block);
    },
    statistics: () => ({ bytesInUse, peakBytes, heapBytes, blocksInUse }),
    resetPeak() {
      peakBytes = bytesInUse;
    },
  };
}

function tryGrow(memory: WebAssembly.Memory, bytes: number): boolean {
  try {
    memory.grow(bytes / PAGE);
    return true;
  } catch {
    return false;
  }
}

/** Index of the size class whose blocks have at least `2^octave · (1 + step/8)` and less than the next class's bytes. */
function classOf(bytes: number): number {
  const octave = Math.floor(Math.log2(bytes));
  const base = 2 ** octave;
  return octave * CLASSES_PER_OCTAVE + Math.floor(((bytes - base) * CLASSES_PER_OCTAVE) / base);
}

function alignUp(value: number, multiple: number): number {
  return Math.ceil(value / multiple) * multiple;
}

function megabytes(bytes: number): string {
  return `${(bytes / 2 ** 20).toFixed(1)} MiB`;
}
