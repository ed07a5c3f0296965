import { fill, matMul, setBackend, slice, sum, tidy } from '@tensorflow/tfjs-core';
import type { WasmBackend } from '@evenkeel/wasm-kernels';
import { afterEach, describe, expect, it } from 'vitest';
import { nameOf, ROWS } from './battery/rows.ts';
import { expectSame } from './battery/run.ts';
import { useWasm } from './variants.ts';

const KIB = 2 ** 10;
const MIB = 2 ** 20;
const GIB = 2 ** 30;

// Addresses are 32-bit: above 2 GiB whatever takes them for signed numbers is wrong. Reserved memory is never touched, so it costs nothing.
describe.each([[1, 'unshared'], [2, 'shared']] as const)('on %i thread(s), with %s memory', (threads, _) => {
  let backend: WasmBackend;
  afterEach(async () => {
    await setBackend('cpu');
    backend.dispose();
  });

  /** Reserves the memory from its start up to about `address`. */
  const reserveUpTo = async (address: number): Promise<void> => {
    backend = await useWasm({ threads });
    const { heap } = backend.runtime;
    const probe = heap.allocate(64 * MIB); // beyond what is left of the first pages
    const start = probe.pointer;
    heap.free(probe);
    heap.allocate(address - start);
  };

  it.each([
    ['across 2 GiB', 2 * GIB - 200 * KIB], ['above 2 GiB', 2 * GIB], ['just below 4 GiB', 4 * GIB - 96 * MIB],
  ])('every kernel is right on tensors %s', async (_, address) => {
    await reserveUpTo(address);
    const { pointer } = backend.intermediate(64);
    expect(pointer).toBeGreaterThanOrEqual(address - 64 * KIB);
    for (const row of ROWS) {
      await expectSame(row, 130).catch((error: unknown) => {
        throw new Error(`${nameOf(row)}: ${String(error)}`);
      });
    }
  });

  it('one tensor of more than 2 GiB is filled, summed, cut and multiplied rightly', async () => {
    backend = await useWasm({ threads });
    const [rows, columns] = [540_001, 1000];
    const x = fill([rows, columns], 0.5);
    expect(x.size * 4).toBeGreaterThan(2 * GIB);
    const sums = await tidy(() => sum(x, 1)).data();
    expect(sums.every((value) => value === 500)).toBe(true);
    const last = await tidy(() => slice(x, [rows - 2, 0], [2, columns])).data();
    expect([last.length, ...new Set(last)]).toEqual([2000, 0.5]);
    const product = await tidy(() => matMul(x, fill([columns, 3], 2))).data();
    expect(product.length).toBe(3 * rows);
    expect(product.every((value) => value === 1000)).toBe(true);
    x.dispose();
  });

  it('past 4 GiB the error says what was asked for and is in use, and the work goes on', async () => {
    backend = await useWasm({ threads });
    const { heap } = backend.runtime;
    const first = heap.allocate(3 * GIB);
    expect(() => fill([400, MIB], 1)).toThrow(/^wasm: memory must stay below 4095\.9 MiB, got a request for 1600\.0 MiB with 30[\d.]+ MiB in use/);
    for (const row of ROWS.slice(0, 8)) await expectSame(row, 65);
    heap.free(first);
    expect(heap.allocate(1600 * MIB).bytes).toBe(1600 * MIB);
  });
});
