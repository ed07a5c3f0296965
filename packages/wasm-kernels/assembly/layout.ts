// Fixed addresses at the bottom of the memory, below the data segment (`--memoryBase` in scripts/assemble.ts).
// Words written by different threads lie on cache lines of their own.

/** u64: generation (32 bits) | number of chunks (16) | next chunk (16). Threads claim a chunk by adding one to it. */
export const TICKET: usize = 64;
/** i32: chunks finished so far. */
export const DONE: usize = 128;
/** i32: workers that wait to be notified. */
export const SLEEPERS: usize = 192;
/** i32: 1 while the main thread waits for DONE. */
export const MAIN_WAITS: usize = 256;
/** i32: 1 after a kernel has failed on a worker. */
export const FAILED: usize = 328;
/** u32: table index of the current job's kernel. */
export const KERNEL: usize = 320;
/** i32: what is added to a claimed chunk's number; a job of more than 65,535 chunks is published in parts. */
export const FIRST_CHUNK: usize = 324;
/** i32: 1 where the engine joins neighbouring vectors of four floats into registers of eight: kernels then keep more of them at once. */
export const WIDE: usize = 332;
/** f64 × 64: the current job's arguments. */
export const ARGS: usize = 512;

/** Bytes of private memory each thread has for packed panels and tiles. */
export const SCRATCH_BYTES: i32 = 1 << 20;

export function argsPointer(): usize {
  return ARGS;
}

export function widePointer(): usize {
  return WIDE;
}

export function scratchBytes(): i32 {
  return SCRATCH_BYTES;
}

/** First byte the host's allocator may use. */
export function heapBase(): usize {
  return __heap_base;
}
