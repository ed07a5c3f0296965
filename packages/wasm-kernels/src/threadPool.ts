import { UnsupportedError } from '@evenkeel/core-tensor';
import { nodeModule } from './features.ts';
import type { Heap } from './memory.ts';
import { stallWatch } from './stallWatch.ts';
import { FIRST_TABLE_INDEX, instantiate } from './wasmModule.ts';
import { BROWSER_WORKER, NODE_WORKER, type WorkerStart } from './workerScript.ts';

export type ThreadPool = {
  /** Threads that take part in a job, the caller's included. */
  readonly threads: number;
  /** The number under which `run` knows an exported kernel. */
  kernel(name: string): number;
  /** Runs chunks 0 … chunks − 1 of a kernel on all threads and returns when all are finished. */
  run(kernel: number, chunks: number, ...args: number[]): void;
  /** False once a job has failed: threads may still write to its results, and nothing runs any more. */
  healthy(): boolean;
  /** Ends the workers. */
  dispose(): void;
};

export type ThreadPoolOptions = {
  readonly module: WebAssembly.Module;
  readonly memory: WebAssembly.Memory;
  readonly heap: Heap;
  /** Threads wanted, the caller's included. */
  readonly threads: number;
  /** Time without any finished chunk after which a job is given up, in ms: longer than any one chunk takes. Default 120,000. */
  readonly stallMs?: number;
};

/** Chunks that are published at a time: the ticket counts them with 16 bits. */
const MAX_CHUNKS = 65535;
const MAX_ARGS = 64;
const START_MS = 10_000;

type PoolWorker = { terminate(): void };
type Health = { failure: string | undefined };

/**
 * createThreadPool — workers on one shared memory that run kernels together with the calling thread.
 *
 * A job is cut into chunks whose number never depends on the number of threads, and threads take the next chunk as they
 * become free, so results are identical for any number. Idle workers spin for about 0.1 ms, then sleep. Where workers cannot
 * be started the pool has one thread.
 */
export async function createThreadPool(options: ThreadPoolOptions): Promise<ThreadPool> {
  const { module, memory, heap, stallMs = 120_000 } = options;
  const { exports, names } = instantiate(module, memory);
  const indices = new Map(names.map((name, i) => [name, i + FIRST_TABLE_INDEX]));
  const scratch = heap.allocate(exports.scratchBytes()).pointer;
  const health: Health = { failure: undefined };
  const workers = await startWorkers(options, exports.scratchBytes(), health);
  const mayWait = nodeModule('node:worker_threads') !== undefined || !('document' in globalThis);
  let args = argsView();

  function argsView(): Float64Array {
    return new Float64Array(memory.buffer, exports.argsPointer(), MAX_ARGS);
  }

  return {
    threads: workers.length + 1,
    kernel(name) {
      const index = indices.get(name);
      if (index === undefined) throw new UnsupportedError(`kernel: name must be an exported kernel, got ${name}`);
      return index;
    },
    run(kernel, chunks, ...values) {
      if (values.length > MAX_ARGS) throw new UnsupportedError(`run: args must be at most ${MAX_ARGS}, got ${values.length}`);
      if (args.length === 0) args = argsView(); // an unshared memory has grown
      for (let i = 0; i < values.length; i++) args[i] = values[i] as number;
      if (health.failure !== undefined) throw new UnsupportedError(health.failure);
      try {
        runAll(kernel, chunks);
      } catch (error) {
        // Other threads may still write to this job's results: nothing may be computed here any more.
        health.failure ??= `run: kernels must not fail, got ${error instanceof Error ? error.message : String(error)}`;
        throw new UnsupportedError(health.failure, { cause: error });
      }
    },
    healthy: () => health.failure === undefined,
    dispose() {
      for (const worker of workers) worker.terminate();
      workers.length = 0;
    },
  };

  function runAll(kernel: number, chunks: number): void {
    if (workers.length === 0 || chunks < 2) return exports.runSerial(kernel, chunks, scratch);
    for (let first = 0; first < chunks; first += MAX_CHUNKS) {
      const count = Math.min(MAX_CHUNKS, chunks - first);
      if (exports.runShared(kernel, first, count, scratch) === 0) finish(count);
    }
  }

  /** Waits for the chunks other threads still work on, one each; gives up when a kernel has failed, or none is finished for too long. */
  function finish(chunks: number): void {
    const stalled = stallWatch(stallMs, performance.now());
    while ((mayWait ? exports.sleepUntilDone(chunks, 100) : exports.awaitDone(chunks, 100_000)) === 0) {
      if (exports.hasFailed() !== 0) throw new Error('one that failed on a worker thread');
      if (!stalled(exports.finishedChunks(), performance.now())) continue;
      health.failure = `run: all threads must finish their chunks, got none for ${stallMs} ms. A worker thread has died or hangs`;
      throw new UnsupportedError(health.failure);
    }
  }
}

/** startWorkers — those that came up; an empty list where workers or shared memory are missing. */
async function startWorkers(options: ThreadPoolOptions, scratchBytes: number, health: Health): Promise<PoolWorker[]> {
  const { module, memory, heap, threads } = options;
  const shared = typeof SharedArrayBuffer !== 'undefined' && memory.buffer instanceof SharedArrayBuffer;
  if (!shared) return [];
  const starts = Array.from({ length: threads - 1 }, async () => {
    const scratch = heap.allocate(scratchBytes);
    try {
      return await startWorker({ module, memory, scratch: scratch.pointer }, health);
    } catch {
      heap.free(scratch);
      return undefined;
    }
  });
  return (await Promise.all(starts)).filter((worker) => worker !== undefined);
}

function startWorker(start: WorkerStart, health: Health): Promise<PoolWorker> {
  const node = nodeModule<typeof import('node:worker_threads')>('node:worker_threads');
  return node === undefined ? startBrowserWorker(start, health) : startNodeWorker(node, start, health);
}

function startNodeWorker(node: typeof import('node:worker_threads'), start: WorkerStart, health: Health): Promise<PoolWorker> {
  return new Promise((resolve, reject) => {
    const worker = new node.Worker(NODE_WORKER, { eval: true, workerData: start, execArgv: [], name: 'evenkeel-wasm' });
    let started = false;
    let disposed = false;
    const failed = (reason: string): void => {
      if (!disposed) health.failure ??= `run: all worker threads must be alive, got one that ${reason}`;
    };
    worker.once('message', () => {
      started = true;
      worker.unref();
      worker.on('error', (error) => failed(`failed: ${error instanceof Error ? error.message : String(error)}`));
      worker.on('exit', (code) => failed(`ended with code ${code}`));
      resolve({
        terminate: () => {
          disposed = true;
          void worker.terminate();
        },
      });
    });
    worker.once('error', reject);
    setTimeout(() => {
      if (started) return;
      disposed = true;
      void worker.terminate().finally(() => reject(new Error('timeout'))); // only then is its scratch free
    }, START_MS).unref();
  });
}

function startBrowserWorker(start: WorkerStart, health: Health): Promise<PoolWorker> {
  return new Promise((resolve, reject) => {
    const url = URL.createObjectURL(new Blob([BROWSER_WORKER], { type: 'text/javascript' }));
    const worker = new Worker(url, { name: 'evenkeel-wasm' });
    const timeout = setTimeout(() => {
      worker.terminate();
      reject(new Error('timeout'));
    }, START_MS);
    worker.onmessage = () => {
      clearTimeout(timeout);
      URL.revokeObjectURL(url);
      worker.onerror = (event) => {
        health.failure ??= `run: all worker threads must be alive, got one that failed: ${event.message}`;
      };
      resolve({ terminate: () => worker.terminate() });
    };
    worker.onerror = (event) => {
      clearTimeout(timeout);
      worker.terminate();
      reject(new Error(event.message));
    };
    worker.postMessage(start);
  });
}
