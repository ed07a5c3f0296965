// The thread pool's inner half. A job is KERNEL + ARGS + a TICKET. Threads (main included) claim chunks by
// compare-exchange on the ticket, which carries the job's generation: a late worker can never claim, or read the
// arguments of, a job other than the one it sees. A job ends when DONE equals its number of chunks.
import { ARGS, DONE, FAILED, FIRST_CHUNK, KERNEL, MAIN_WAITS, SLEEPERS, TICKET } from './layout';

export { argsPointer, heapBase, scratchBytes, widePointer } from './layout';

/** The word of TICKET that holds the generation: what sleeping workers wait on. */
const GENERATION: usize = TICKET + 4;
/** Loads of the ticket before a worker goes to sleep: about 0.1 ms. */
const WORKER_SPINS: i32 = 60000;

/** work — a worker's whole life: never returns. `scratch` is the thread's own. */
export function work(scratch: usize): void {
  for (;;) {
    const generation = atomic.load<i32>(GENERATION);
    drain(scratch);
    let spins = WORKER_SPINS;
    while (spins > 0 && atomic.load<i32>(GENERATION) == generation) spins--;
    if (spins > 0) continue;
    atomic.add<i32>(SLEEPERS, 1);
    atomic.wait<i32>(GENERATION, generation, -1); // returns at once if a job has come meanwhile
    atomic.sub<i32>(SLEEPERS, 1);
  }
}

/** publish — offers the job whose KERNEL arguments the host has written to ARGS; wakes sleeping workers. */
function publish(kernel: u32, first: i32, chunks: i32): void {
  atomic.store<i32>(DONE, 0);
  store<u32>(KERNEL, kernel);
  store<i32>(FIRST_CHUNK, first);
  const generation = (atomic.load<u64>(TICKET) >> 32) + 1;
  atomic.store<u64>(TICKET, (generation << 32) | (<u64>chunks << 16));
  if (atomic.load<i32>(SLEEPERS) > 0) atomic.notify(GENERATION, chunks - 1);
}

/** drain — claims and runs chunks until none is left, then reports them finished. */
function drain(scratch: usize): void {
  let finished: i32 = 0;
  for (;;) {
    const ticket = atomic.load<u64>(TICKET);
    const next = <u32>ticket & 0xffff;
    if (next >= (<u32>ticket >> 16)) break;
    if (atomic.cmpxchg<u64>(TICKET, ticket, ticket + 1) != ticket) continue;
    call_indirect<void>(load<u32>(KERNEL), load<i32>(FIRST_CHUNK) + <i32>next, ARGS, scratch);
    finished++;
  }
  if (finished == 0) return;
  atomic.add<i32>(DONE, finished);
  if (atomic.load<i32>(MAIN_WAITS) != 0) atomic.notify(DONE, 1);
}

/** runSerial — all chunks on this thread. */
export function runSerial(kernel: u32, chunks: i32, scratch: usize): void {
  for (let chunk = 0; chunk < chunks; chunk++) call_indirect<void>(kernel, chunk, ARGS, scratch);
}

/** runShared — publishes chunks first … first + chunks − 1 and does the main thread's share of them. Returns 1 when all of it is finished, 0 when `awaitDone` must follow. */
export function runShared(kernel: u32, first: i32, chunks: i32, scratch: usize): i32 {
  publish(kernel, first, chunks);
  drain(scratch);
  return awaitDone(chunks, 20000);
}

/** awaitDone — spins for the other threads' chunks. Returns 1 when all are finished. */
export function awaitDone(chunks: i32, spins: i32): i32 {
  for (; spins > 0; spins--) {
    if (atomic.load<i32>(DONE) == chunks) return 1;
  }
  return 0;
}

/** finishedChunks — of the job that runs now; threads report theirs when none is left to claim. */
export function finishedChunks(): i32 {
  return atomic.load<i32>(DONE);
}

/** sleepUntilDone — waits at most `ms` for the other threads; never on a browser's main thread. Returns 1 when finished. */
export function sleepUntilDone(chunks: i32, ms: i32): i32 {
  atomic.store<i32>(MAIN_WAITS, 1);
  const done = atomic.load<i32>(DONE);
  if (done != chunks) atomic.wait<i32>(DONE, done, <i64>ms * 1000000);
  atomic.store<i32>(MAIN_WAITS, 0);
  return i32(atomic.load<i32>(DONE) == chunks);
}

/** reportFailure — called by a worker whose kernel has failed: its chunks will never be finished. */
export function reportFailure(): void {
  atomic.store<i32>(FAILED, 1);
  atomic.notify(DONE, 1);
}

/** hasFailed — whether a kernel has failed on a worker. */
export function hasFailed(): i32 {
  return atomic.load<i32>(FAILED);
}
