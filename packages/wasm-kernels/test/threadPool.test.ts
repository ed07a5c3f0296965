import { EventEmitter, once } from 'node:events';
import type { Worker } from 'node:worker_threads';
import { createRuntime, type WasmOptions, type WasmRuntime } from '@evenkeel/wasm-kernels';
import { describe, expect, it, vi } from 'vitest';

const CHUNK = 16384;
const MIB = 2 ** 20;

/** Runs `use` on a runtime of its own and ends its threads. */
async function withRuntime<T>(options: WasmOptions, use: (runtime: WasmRuntime) => T | Promise<T>): Promise<T> {
  const runtime = await createRuntime(options);
  try {
    return await use(runtime);
  } finally {
    runtime.pool.dispose();
  }
}

function floats({ heap, memory }: WasmRuntime, values: Float32Array): { pointer: number; view: Float32Array } {
  const { pointer } = heap.allocate(values.byteLength);
  const view = new Float32Array(memory.buffer, pointer, values.length);
  view.set(values);
  return { pointer, view };
}

/** The workers that `start` creates. */
async function workersOf<T>(start: () => Promise<T>): Promise<[T, Worker[]]> {
  const workers: Worker[] = [];
  const collect = (worker: Worker): void => void workers.push(worker);
  process.on('worker', collect);
  try {
    return [await start(), workers];
  } finally {
    process.off('worker', collect);
  }
}

describe('createThreadPool', () => {
  it('createThreadPool({ threads }) has that many threads, and one without shared memory', async () => {
    for (const threads of [1, 2, 4]) {
      await withRuntime({ threads }, (runtime) => {
        expect(runtime.pool.threads).toBe(threads);
        expect(runtime.shared).toBe(threads > 1);
      });
    }
  });

  it('run finishes every chunk of thousands of small jobs before it returns', async () => {
    await withRuntime({ threads: 4 }, (runtime) => {
      const size = 3 * CHUNK + 5;
      const x = floats(runtime, new Float32Array(size));
      const one = floats(runtime, Float32Array.of(1));
      const binary = runtime.pool.kernel('binary');
      for (let i = 1; i <= 3000; i++) {
        runtime.pool.run(binary, 4, x.pointer, one.pointer, x.pointer, size, 0, size, 1);
        for (const at of [0, CHUNK, 2 * CHUNK, 3 * CHUNK, size - 1]) {
          if (x.view[at] !== i) throw new Error(`job ${i}: element ${at} must be ${i}, got ${x.view[at]}`);
        }
      }
      expect(x.view.every((value) => value === 3000)).toBe(true);
    });
  });

  it('run wakes workers that have gone to sleep', async () => {
    await withRuntime({ threads: 2 }, async (runtime) => {
      const size = 8 * CHUNK;
      const x = floats(runtime, new Float32Array(size));
      const one = floats(runtime, Float32Array.of(1));
      for (let i = 1; i <= 20; i++) {
        await new Promise((resolve) => setTimeout(resolve, 5));
        runtime.pool.run(runtime.pool.kernel('binary'), 8, x.pointer, one.pointer, x.pointer, size, 0, size, 1);
        expect(x.view.every((value) => value === i)).toBe(true);
      }
    });
  });

  it.each([1, 2])('run numbers the chunks of a job of more than 65,535 on %i thread(s)', async (threads) => {
    await withRuntime({ threads }, (runtime) => {
      const batch = 70_000; // one chunk each: 1 × 1 products
      const a = floats(runtime, Float32Array.from({ length: batch }, (_, i) => i));
      const c = floats(runtime, new Float32Array(batch));
      const two = floats(runtime, Float32Array.of(2));
      const { pointer } = runtime.heap.allocate(3 * batch * 4);
      const table = new Uint32Array(runtime.memory.buffer, pointer, 3 * batch);
      for (let i = 0; i < batch; i++) {
        table[i] = a.pointer + 4 * i;
        table[batch + i] = two.pointer;
        table[2 * batch + i] = c.pointer + 4 * i;
      }
      runtime.pool.run(runtime.pool.kernel('gemmFewRows'), batch, pointer, pointer + 4 * batch, pointer + 8 * batch, 0, 1, 1, 1, 0, 1, 16, 0, 1, 0, 0);
      expect(c.view.every((value, i) => value === 2 * i)).toBe(true);
    });
  });

  it('run throws after a worker has ended', async () => {
    const [runtime, workers] = await workersOf(() => createRuntime({ threads: 2 }));
    expect(workers).toHaveLength(1);
    const [worker] = workers as [Worker];
    void worker.terminate();
    await once(worker, 'exit');
    await new Promise((resolve) => setImmediate(resolve));
    expect(() => runtime.pool.run(runtime.pool.kernel('binary'), 1)).toThrow('all worker threads must be alive, got one that ended with code 1');
  });

  it('run returns or throws, and does not hang, when a worker is ended in the middle of jobs', async () => {
    const [runtime, [worker]] = await workersOf(() => createRuntime({ threads: 2, stallMs: 300 }));
    const size = 64 * CHUNK;
    const x = floats(runtime, new Float32Array(size));
    const run = (): void => runtime.pool.run(runtime.pool.kernel('gelu'), 64, x.pointer, x.pointer, size, 0);
    void (worker as Worker).terminate();
    let thrown: unknown;
    for (let i = 0; i < 200 && thrown === undefined; i++) {
      try {
        run();
      } catch (error) {
        thrown = error;
      }
    }
    if (thrown !== undefined) expect(String(thrown)).toContain('A worker thread has died or hangs');
    await once(worker as Worker, 'exit');
    await new Promise((resolve) => setImmediate(resolve));
    expect(run).toThrow(/A worker thread has died|all worker threads must be alive/);
  });

  it('createThreadPool frees the scratch of workers that do not start, and does without them', async () => {
    const getBuiltinModule = process.getBuiltinModule.bind(process);
    class FailingWorker extends EventEmitter {
      constructor() {
        super();
        queueMicrotask(() => this.emit('error', new Error('no threads today')));
      }
      async terminate(): Promise<number> {
        return 1;
      }
    }
    const spy = vi.spyOn(process, 'getBuiltinModule').mockImplementation(((name: string) => (
      name === 'node:worker_threads' ? { Worker: FailingWorker } : getBuiltinModule(name)
    )) as typeof process.getBuiltinModule);
    try {
      await withRuntime({ threads: 4 }, ({ pool, heap }) => {
        expect(pool.threads).toBe(1);
        expect(heap.statistics()).toMatchObject({ blocksInUse: 1, bytesInUse: 2 ** 20 }); // the calling thread's own
      });
    } finally {
      spy.mockRestore();
    }
  });

  it('run throws when a kernel fails, and again from then on', async () => {
    for (const threads of [1, 2]) {
      const runtime = await createRuntime({ threads, stallMs: 300 });
      const beyond = 0xfffffff0;
      const run = (): void => runtime.pool.run(runtime.pool.kernel('gelu'), 2, beyond, beyond, 2 * CHUNK, 0);
      expect(run).toThrow(/out of bounds|has died|failed on a worker thread/);
      expect(run).toThrow(/out of bounds|has died|failed on a worker thread/);
      runtime.pool.dispose();
    }
  });

  it('run throws at once, not after stallMs, when a kernel fails on a worker', async () => {
    await withRuntime({ threads: 2 }, (runtime) => {
      const { pool, heap } = runtime;
      const [from, to] = [heap.allocate(32 * MIB), heap.allocate(32 * MIB)];
      const outside = 0xf000_0000; // of the second block, which the worker takes while this thread copies the first
      const start = performance.now();
      expect(() => pool.run(pool.kernel('copyBlocks'), 2, from.pointer, to.pointer, 2, 32 * MIB, outside, 0, 1)).toThrow(/kernels must not fail, got (one that failed on a worker thread|memory access out of bounds)/);
      expect(performance.now() - start).toBeLessThan(5000);
      expect(pool.healthy()).toBe(false);
    });
  });

  it('workers without work use less than 2 % of a core', async () => {
    await withRuntime({ threads: 4 }, async ({ pool }) => {
      pool.run(pool.kernel('gelu'), 16, 0, 0, 0, 0);
      await new Promise((resolve) => setTimeout(resolve, 200));
      const before = process.cpuUsage();
      await new Promise((resolve) => setTimeout(resolve, 1000));
      const { user, system } = process.cpuUsage(before);
      expect((user + system) / 1e6).toBeLessThan(0.02); // seconds
    });
  });

  it('kernel of an unknown name throws', async () => {
    await withRuntime({ threads: 1 }, ({ pool }) => {
      expect(() => pool.kernel('nothing')).toThrow('name must be an exported kernel, got nothing');
    });
  });
});
