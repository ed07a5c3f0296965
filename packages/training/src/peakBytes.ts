import { engine } from '@tensorflow/tfjs-core';

type Watch = { peak: number };

const watches = new Set<Watch>();

/**
 * watchPeakBytes — follows the bytes of all tensors alive and remembers the most there were, also within a step.
 *
 * @returns `peak()` so far, and `stop()`, after which tfjs' counter is a plain number again unless somebody else still watches.
 */
export function watchPeakBytes(): { peak(): number; stop(): void } {
  const watch = { peak: engine().state.numBytes };
  if (watches.size === 0) observe();
  watches.add(watch);
  return {
    peak: () => watch.peak,
    stop: () => {
      watches.delete(watch);
      if (watches.size === 0) define({ value: engine().state.numBytes, writable: true });
    },
  };
}

/** Turns the counter into an accessor: tfjs has no other way to see a peak between two of its own calls. */
function observe(): void {
  let bytes = engine().state.numBytes;
  define({
    get: () => bytes,
    set: (value: number) => {
      bytes = value;
      for (const watch of watches) if (value > watch.peak) watch.peak = value;
    },
  });
}

function define(property: PropertyDescriptor): void {
  Object.defineProperty(engine().state, 'numBytes', { configurable: true, enumerable: true, ...property });
}
