const FRAME_MS = 16;

let last = 0;

/**
 * yieldToEvents — lets timers, signals and input be handled, at most once per frame.
 *
 * Where tensors live on the CPU every `await` of a step resolves at once, and without this nobody could interrupt a run.
 */
export async function yieldToEvents(): Promise<void> {
  if (performance.now() - last < FRAME_MS) return;
  await nextTask();
  last = performance.now();
}

/** In browsers a message arrives at once where a nested timeout would wait 4 ms. */
function nextTask(): Promise<void> {
  if (typeof setImmediate === 'function') return new Promise((resolve) => void setImmediate(resolve));
  return new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {
      port1.close();
      resolve();
    };
    port2.postMessage(undefined);
  });
}
