import { dispose, engine, memory, Tensor } from '@tensorflow/tfjs-core';
import { verdict } from './verdict.ts';

export type ExpectNoLeakOptions = {
  /** The function must throw an error whose message matches, and leave no tensor behind. */
  throws?: RegExp | string;
};

/**
 * expectNoLeak — the tensor count grows by exactly the tensors that `fn` returns (a tensor, a tree of them, or none).
 *
 * The returned tensors are disposed afterwards; then neither engine nor backends may hold more buffers than before, which
 * also catches kernels that forget an intermediate result. When `fn` throws, the count must not have grown at all; the
 * error is thrown on, unless `throws` expected it.
 */
export async function expectNoLeak(fn: () => unknown, { throws }: ExpectNoLeakOptions = {}): Promise<void> {
  const before = count();
  let result: unknown;
  let error: unknown;
  let threw = false;
  try {
    result = await fn();
  } catch (cause) {
    threw = true;
    error = cause;
  }
  const returned = distinctTensors(result);
  const grown = count().tensors - before.tensors;
  verdict(grown === returned.size ? undefined
    : `expectNoLeak: the tensor count must grow by ${returned.size} (the tensors ${threw ? 'returned: it threw' : 'returned'}), grew by ${grown}`);
  dispose([...returned]);
  const after = count();
  verdict(after.buffers <= before.buffers ? undefined
    : `expectNoLeak: after disposing the results the backends hold ${after.buffers - before.buffers} more buffers than before`);
  if (threw) checkThrown(error, throws);
  else if (throws !== undefined) verdict(`expectNoLeak: must throw ${throws}, returned normally`);
}

function checkThrown(error: unknown, throws: RegExp | string | undefined): void {
  if (throws === undefined) throw error;
  const message = error instanceof Error ? error.message : String(error);
  const matches = typeof throws === 'string' ? message.includes(throws) : throws.test(message);
  verdict(matches ? undefined : `expectNoLeak: must throw ${throws}, threw ${JSON.stringify(message)}`);
}

/** Tensors alive in the engine, and data buffers alive in all backends together (data may move from one to another). */
function count(): { tensors: number; buffers: number } {
  const backends = Object.values(engine().registry);
  return { tensors: memory().numTensors, buffers: backends.reduce((sum, backend) => sum + backend.numDataIds(), 0) };
}

function distinctTensors(value: unknown, found = new Set<Tensor>()): Set<Tensor> {
  if (value instanceof Tensor) found.add(value);
  else if (typeof value === 'object' && value !== null && !ArrayBuffer.isView(value)) {
    for (const part of Object.values(value)) distinctTensors(part, found);
  }
  return found;
}
