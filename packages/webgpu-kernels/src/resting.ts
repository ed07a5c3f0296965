import { dawnInstances } from './dawnInstances.ts';

/** From so many milliseconds on a wait is a long one, in which each turn of the event loop rests. */
const LONG_MS = 8;
const REST_MS = 0.5;

const cell = (): Int32Array => new Int32Array(new SharedArrayBuffer(4));

let waits = 0;
let since = 0;
let isScheduled = false;
let asleep: Int32Array | undefined;

/**
 * resting — awaits something of the device. Dawn in Node asks it in every turn of the event loop whether that is done: turns without
 * end, which occupy a processor (that a software adapter would compute on) and make 200 MB of garbage in a second. So in long waits the
 * turns rest; they end half a millisecond late at most.
 */
export async function resting<T>(promise: Promise<T>): Promise<T> {
  if (dawnInstances.size === 0) return promise;
  if (waits++ === 0) since = performance.now();
  schedule();
  try {
    return await promise;
  } finally {
    waits -= 1;
  }
}

/** Once per turn, whatever waits end and begin within it. */
function schedule(): void {
  if (isScheduled) return;
  isScheduled = true;
  setImmediate(rest);
}

function rest(): void {
  isScheduled = false;
  if (waits === 0) return;
  if (performance.now() - since > LONG_MS) Atomics.wait(asleep ??= cell(), 0, 0, REST_MS);
  schedule();
}
