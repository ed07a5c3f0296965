import { ConfigError } from '@evenkeel/core-tensor';
import {
  add, buffer, cast, clone, complex, cos, engine, env, fill, getBackend, imag, matMul, memory, ones, real, reshape, scalar, setBackend, slice,
  softmax, square, tensor, tidy, variable, where, type Tensor,
} from '@tensorflow/tfjs-core';
import { BACKEND_NAME, createWasmBackend, WasmBackend, wasm } from '@evenkeel/wasm-kernels';
import { expectClose, expectNoLeak, randomArray, randomTensor } from '@evenkeel/testing';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { describeVariants, useWasm } from './variants.ts';

const MIB = 2 ** 20;

/** A tensor whose values certainly lie in the heap: the result of one of our kernels. */
function inHeap(values: number[] | Float32Array, shape: number[] = [values.length]): Tensor {
  return tidy(() => add(tensor(values, shape, 'float32'), scalar(0)));
}

/** Frees nothing, but fills freed blocks with other numbers. */
function overwriteFreed(shape: number[]): void {
  for (let i = 0; i < 8; i++) inHeap(new Float32Array(shape.reduce((a, b) => a * b, 1)).fill(-7), shape);
}

describeVariants((get) => {
  it('slice(x) keeps its values when x is freed and its memory used again', async () => {
    const x = inHeap(randomArray(64));
    const expected = (await x.data()).slice(8, 16);
    const part = slice(x, [8], [8]);
    x.dispose();
    overwriteFreed([64]);
    await expectClose(part, expected, { rtol: 0, atol: 0 });
  });

  it('data() and bufferSync give copies that later results do not change', async () => {
    const x = inHeap([1, 2, 3]);
    const values = await x.data();
    const view = buffer([3], 'float32', x.dataSync() as Float32Array);
    const copied = get().bufferSync(x);
    x.dispose();
    overwriteFreed([3]);
    expect([...values]).toEqual([1, 2, 3]);
    expect(view.toTensor().arraySync()).toEqual([1, 2, 3]);
    expect([...copied.values]).toEqual([1, 2, 3]);
  });

  it('tensors keep their values when the memory grows', async () => {
    const x = inHeap([0, 1, 2]);
    await expectClose(cos(x), [1, Math.cos(1), Math.cos(2)]); // a CPU kernel: makes a view on the memory as it is now
    const { heapBytes } = get().runtime.heap.statistics();
    get().runtime.heap.free(get().runtime.heap.allocate(heapBytes));
    expect(get().runtime.heap.statistics().heapBytes).toBeGreaterThan(heapBytes);
    await expectClose(cos(x), [1, Math.cos(1), Math.cos(2)]);
    await expectClose(add(x, x), [0, 2, 4]);
    await expectClose(x, [0, 1, 2]);
  });

  it('clone(x), reshape(x) and variables share the values until the last is freed', async () => {
    const before = get().numDataIds();
    const x = inHeap([1, 2, 3, 4]);
    const [y, z] = [clone(x), reshape(x, [2, 2])];
    const v = variable(x);
    expect(get().numDataIds()).toBe(before + 1);
    x.dispose();
    y.dispose();
    overwriteFreed([4]);
    await expectClose(z, [[1, 2], [3, 4]]);
    const other = inHeap([5, 6, 7, 8]);
    v.assign(other);
    other.dispose();
    await expectClose(v, [5, 6, 7, 8]);
    await expectClose(z, [[1, 2], [3, 4]]);
  });

  it('tensors move to the CPU backend and back', async () => {
    const x = inHeap([1, 2, 3]);
    const count = get().numDataIds();
    await setBackend('cpu');
    const y = square(x);
    expect(get().numDataIds()).toBe(count - 1);
    await setBackend(BACKEND_NAME);
    await expectClose(add(x, y), [2, 6, 12]);
    await expectClose(x, [1, 2, 3]);
  });

  it('complex tensors work and are freed with their parts', async () => {
    const [x, y] = [inHeap([1, 2]), inHeap([3, 4])];
    await expectNoLeak(async () => {
      const z = complex(x, y);
      const [re, im] = [real(z), imag(z)];
      await expectClose(re, [1, 2]);
      await expectClose(im, [3, 4]);
      expect([...(await z.data())]).toEqual([1, 3, 2, 4]);
      return [z, re, im];
    });
  });

  it('freed tensors leave neither data nor heap blocks behind', () => {
    const count = get().numDataIds();
    const { bytesInUse } = get().runtime.heap.statistics();
    tidy(() => {
      const x = inHeap(randomArray(300), [3, 100]);
      matMul(x, x, false, true);
      softmax(x);
      complex(x, x);
      where(ones([3, 100], 'bool'), x, x);
    });
    expect(get().numDataIds()).toBe(count);
    expect(get().runtime.heap.statistics().bytesInUse).toBe(bytesInUse);
    expect(get().memory().hostBytes).toBeGreaterThanOrEqual(0);
  });

  it('empty tensors and scalars pass through our kernels', async () => {
    await expectClose(add(tensor([], [0, 3], 'float32'), ones([3])), tensor([], [0, 3]));
    await expectClose(matMul(tensor([], [0, 3], 'float32'), ones([3, 4])), tensor([], [0, 4]));
    await expectClose(matMul(tensor([], [2, 0], 'float32'), tensor([], [0, 3], 'float32')), [[0, 0, 0], [0, 0, 0]]);
    await expectClose(add(scalar(1), scalar(2)), 3);
    await expectClose(add(scalar(1), ones([1, 1])), [[2]]);
  });

  it('cast(int32 → float32) converts the stored values for kernels that read memory', async () => {
    const ids = tensor([1, 2, 3], [3], 'int32');
    await expectClose(add(cast(ids, 'float32'), scalar(0.5)), [1.5, 2.5, 3.5]);
    const flags = tensor([true, false], [2], 'bool');
    await expectClose(add(cast(flags, 'float32'), scalar(0.5)), [1.5, 0.5]);
    expect(cast(ids, 'float32').dtype).toBe('float32');
  });

  it('int32 and bool tensors that went to the heap read back in their own type', async () => {
    const ids = tensor([1, -2, 3], [3], 'int32');
    const flags = tensor([true, false], [2], 'bool');
    get().pointer(ids);
    get().pointer(flags);
    expect(await ids.data()).toEqual(Int32Array.of(1, -2, 3));
    expect(await flags.data()).toEqual(Uint8Array.of(1, 0));
    await expectClose(add(ids, ids), [2, -4, 6]);
  });

  it('memory() reports what the heap and JavaScript hold', () => {
    const before = get().memory();
    const host = tensor(new Float32Array(MIB / 4));
    expect(get().memory()).toMatchObject({ hostBytes: before.hostBytes + MIB, bytesInUse: before.bytesInUse });
    get().pointer(host);
    expect(get().memory()).toMatchObject({ hostBytes: before.hostBytes, bytesInUse: before.bytesInUse + MIB });
    host.dispose();
    expect(get().memory()).toMatchObject({ hostBytes: before.hostBytes, bytesInUse: before.bytesInUse });
    expect(memory()).toMatchObject({ unreliable: false, heapBytes: get().runtime.memory.buffer.byteLength });
  });

  it('1,000 steps of the same work leave heap and tensor count as they were', () => {
    const w = randomTensor([33, 17]);
    const step = (): void => void tidy(() => {
      const y = matMul(fill([9, 33], 0.5), w);
      return add(cos(add(y, y)), matMul(matMul(y, w, false, true), w));
    }).dispose();
    for (let i = 0; i < 3; i++) step();
    const { heapBytes, bytesInUse } = get().memory();
    const { numTensors } = memory();
    for (let i = 0; i < 1000; i++) step();
    expect(get().memory()).toMatchObject({ heapBytes, bytesInUse });
    expect(memory().numTensors).toBe(numTensors);
    w.dispose();
  });
});

describe('WasmBackend', () => {
  beforeEach(async () => {
    await setBackend('cpu');
  });

  it('the first tensor prints no banner about other backends', async () => {
    const warn = vi.spyOn(console, 'warn').mockImplementation(() => {});
    env().set('IS_TEST', false);
    try {
      const backend = await useWasm({ threads: 1 });
      tensor([1, 2, 3]).dispose();
      expect(warn).not.toHaveBeenCalled();
      backend.dispose();
    } finally {
      env().set('IS_TEST', true);
      warn.mockRestore();
    }
  });

  it('allocate past maxMemoryBytes says how much was asked for, and the backend still works', async () => {
    const backend = await useWasm({ threads: 2, maxMemoryBytes: 64 * MIB });
    const x = inHeap([1, 2]);
    expect(() => backend.allocate([32 * MIB])).toThrow('memory must stay below 64.0 MiB, got a request for 128.0 MiB');
    await expectClose(add(x, x), [2, 4]);
    backend.dispose();
  });

  it('createWasmBackend a second time replaces the first', async () => {
    const first = await useWasm({ threads: 1 });
    const second = await useWasm({ threads: 2, simd: 'plain' });
    expect(getBackend()).toBe(BACKEND_NAME);
    expect(engine().backend).toBe(second);
    expect(second).toBeInstanceOf(WasmBackend);
    expect(first).not.toBe(second);
    await expectClose(add(tensor([1]), tensor([2])), [3]);
    second.dispose();
  });

  it('createWasmBackend({ threads: 0 }) and unknown options throw', async () => {
    await expect(createWasmBackend({ threads: 0 })).rejects.toThrow(ConfigError);
    await expect(createWasmBackend({ threads: 0 })).rejects.toThrow('wasm: threads must be an integer ≥ 1, got 0');
    await expect(createWasmBackend({ simd: 'fast' as never })).rejects.toThrow('wasm: simd must be one of auto, wide, relaxed, plain, got fast');
    await expect(createWasmBackend({ maxMemoryBytes: 1 })).rejects.toThrow('wasm: maxMemoryBytes must be an integer ≥ 16777216, got 1');
  });

  it.each([
    [{ threads: 3, simd: 'plain' }, 'WebAssembly plain SIMD (asked for), 3 threads (asked for)', ['plain', 3, true]],
    [{ threads: 1, simd: 'relaxed' }, 'WebAssembly relaxed SIMD (asked for), 1 thread (asked for)', ['relaxed', 1, false]],
    [{ threads: 2 }, 'WebAssembly relaxed SIMD, 2 threads (asked for)', ['relaxed', 2, true]],
  ] as const)('wasm(%o).probe says what it would use and why, and create does so', async (options, reason, made) => {
    const probe = await wasm(options).probe();
    expect(probe).toMatchObject({ available: true, kind: 'processor', reason });
    expect(probe.details).toMatchObject({ simd: true, relaxedSimd: true, sharedMemory: true });
    const backend = await useWasm(options);
    const { variant, pool, shared } = backend.runtime;
    expect([variant, pool.threads, shared]).toEqual(made);
    backend.dispose();
  });

  it('wasm().probe and create do with one thread where memory cannot be shared', async () => {
    vi.stubGlobal('crossOriginIsolated', false); // as in a page without the headers
    try {
      expect((await wasm({ threads: 2 }).probe()).reason).toBe('WebAssembly relaxed SIMD, 1 thread (no shared memory; a page needs cross-origin isolation for it)');
      const backend = await useWasm({ threads: 2 });
      expect([backend.runtime.pool.threads, backend.runtime.shared]).toEqual([1, false]);
      await expectClose(add(tensor([1]), tensor([2])), [3]);
      backend.dispose();
    } finally {
      vi.unstubAllGlobals();
    }
  });
});
