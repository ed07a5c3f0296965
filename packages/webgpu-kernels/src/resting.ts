import { dawnInstances } from './dawnInstances.ts';

/** A turn of the event loop rests for this share of the time waited so far, and for so many milliseconds at least and at most. */
const SHARE = 1 / 32;
const SHORTEST_MS = 0.02;
const LONGEST_MS = 0.5;

const cell = (): Int32Array => new Int32Array(new SharedArrayBuffer(4));

let waits = 0;
let since = 0;
let asleep: Int32Array | undefined;

/**
 * resting — awaits something of the device. Dawn in Node asks it in every turn of the event loop whether that is done: turns without
 * end, which occupy a processor (that a software adapter would compute on) and make 200 MB of garbage in a second. So the turns rest
 * meanwhile, each for a small share of the time waited so far; a wait of t ms ends at most t/32 and 0.5 ms late.
 */
export async function resting<T>(promise: Promise<T>): Promise<T> {
  if (dawnInstances.size === 0) return promise;
  if (waits++ === 0) {
    since = performance.now();
    setImmediate(rest);
  }
  try {
    return await promise;
  } finally {
    waits -= 1;
  }
}

function rest(): void {
  if (waits === 0) return;
  const ms = Math.min(LONGEST_MS, SHARE * (performance.now() - since));
  if (ms > SHORTEST_MS) Atomics.wait(asleep ??= cell(), 0, 0, ms);
  setImmediate(rest);
}
