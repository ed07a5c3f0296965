import { GPU_BACKEND, useDevice, vjp, type GpuBackend, type GpuChoice, type GpuProgram } from '@evenkeel/core-tensor';
import { flashAttention, flashAttentionPacked, flashAttentionVarlen, type FlashAttentionOptions } from '@evenkeel/flash-attention';
import { expectClose, forEachBackend, randomTensor } from '@evenkeel/testing';
import { tune, webgpu } from '@evenkeel/webgpu-kernels';
import { backend, dispose, ones, reshape, slice, tidy, type Tensor } from '@tensorflow/tfjs-core';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import type { Results64 } from './attention64.ts';
import { makeGiven, runAll } from './gpuCases.ts';

vi.setConfig({ testTimeout: 300_000 }); // compiling for a CPU takes seconds per program

/** The programs of attention that are launched while `f` runs. */
function launchedBy(f: () => void): GpuProgram[] {
  const gpu = backend() as unknown as GpuBackend & { dispatch: GpuBackend['dispatch'] };
  const { dispatch } = gpu;
  const programs: GpuProgram[] = [];
  gpu.dispatch = (program, launch) => {
    programs.push(program);
    dispatch.call(gpu, program, launch);
  };
  try {
    f();
  } finally {
    gpu.dispatch = dispatch;
  }
  return programs.filter(({ name }) => name.startsWith('attention') && name !== 'attentionRowSums');
}

const threadsOf = ({ code }: GpuProgram): number => Number(/@workgroup_size\((\d+)/.exec(code)![1]);

/** Result and gradients of one call; the inputs are freed. */
function attend(options: FlashAttentionOptions = {}): Tensor[] {
  const [q, k, v, bias, dy] = [1, 2, 3, 4, 5].map((seed) => randomTensor(seed === 4 ? [1, 2, 20, 20] : [1, 20, 2, 4], { seed })) as [Tensor, Tensor, Tensor, Tensor, Tensor];
  const { value, grads } = vjp(() => flashAttention(q, k, v, { causal: true, bias, ...options } as FlashAttentionOptions & { returnLse?: false }), [q, k, v, bias], dy);
  dispose([q, k, v, bias, dy]);
  return [value, ...grads];
}

const valuesOf = (tensors: readonly Tensor[]): Promise<Float32Array[]> => Promise.all(tensors.map(async (each) => Float32Array.from(await each.data())));

forEachBackend([GPU_BACKEND], () => {
  let folder: string;
  let before: string | undefined;
  beforeAll(() => {
    before = process.env['XDG_CACHE_HOME'];
    process.env['XDG_CACHE_HOME'] = folder = mkdtempSync(join(tmpdir(), 'evenkeel-tune-'));
  });
  afterAll(async () => {
    if (before === undefined) delete process.env['XDG_CACHE_HOME'];
    else process.env['XDG_CACHE_HOME'] = before;
    rmSync(folder, { recursive: true });
    await useDevice('webgpu', [webgpu()]);
  });

  it('tune() times the tiles of every pass of the calls seen, and attention with the fastest is the same but for the last bits', async () => {
    await useDevice('webgpu', [webgpu({ tuning: 'auto' })]);
    const first = attend();
    const expected = await valuesOf(first);
    const tuned = await tune();
    const passes = tuned.filter((each) => each.class.startsWith('attention'));
    const key = 'd4 t2^4 s2^4 heads2 group1 sees all 0 bias1xxx';
    expect(passes.map((each) => each.class)).toEqual(['attention', 'attentionQueryGrad', 'attentionKeyValueGrad', 'attentionBiasGrad'].map((family) => `${family}@2 ${key}`));
    for (const { milliseconds, winner } of passes) {
      expect(Object.keys(milliseconds).length).toBeGreaterThan(2);
      expect(Object.values(milliseconds).every((ms) => ms > 0)).toBe(true);
      expect(milliseconds[winner]).toBe(Math.min(...Object.values(milliseconds)));
    }
    const second: Tensor[] = [];
    const programs = launchedBy(() => second.push(...attend()));
    for (const [i, name] of ['attention', 'attentionQueryGrad', 'attentionKeyValueGrad', 'attentionBiasGrad'].entries()) {
      const program = programs.find((each) => each.name === name)!;
      expect(passes[i]!.winner.startsWith(`threads${threadsOf(program)}-`), name).toBe(true);
    }
    for (const [i, each] of second.entries()) await expectClose(each, expected[i]!, { rtol: 1e-5, atol: 1e-6 });
    const observed = attend({ observe: () => {} });
    for (const [i, each] of observed.entries()) await expectClose(each, await second[i]!.data(), { rtol: 0, atol: 0 });
    expect(await tune()).toEqual([]);
    dispose([first, second, observed]);
  });

  it('webgpu({ tuning: { attention, … } }) computes each pass with the tile of that name, and with the usual one where there is no such tile', async () => {
    await useDevice('webgpu', [webgpu({ tuning: 'off' })]);
    const plain: Tensor[] = [];
    const usual = launchedBy(() => plain.push(...attend())).map(threadsOf);
    const expected = await valuesOf(plain);
    dispose(plain);
    const tile = 'threads32-rows1-split1-keys32';
    await useDevice('webgpu', [webgpu({ tuning: { attention: tile, attentionKeyValueGrad: tile, attentionQueryGrad: 'threads7-rows1-split1-keys3' } })]);
    const results: Tensor[] = [];
    const programs = launchedBy(() => results.push(...attend()));
    expect(programs.map(({ name }) => name)).toEqual(['attention', 'attentionQueryGrad', 'attentionKeyValueGrad', 'attentionBiasGrad']);
    expect(programs.map(threadsOf)).toEqual([32, usual[1], 32, usual[3]]);
    expect(usual).not.toContain(32);
    for (const [i, each] of results.entries()) await expectClose(each, expected[i]!, { rtol: 1e-5, atol: 1e-6 });
    dispose(results);
  });

  it('webgpu({ tuning: { attention, … } }) takes any tile that the device can run, however unlike the usual ones, and results agree with float64', async () => {
    const [tile, ofBias] = ['threads24-rows3-split1-keys12', 'threads40-rows1-split1-keys20'];
    await useDevice('webgpu', [webgpu({ tuning: { attention: tile, attentionQueryGrad: tile, attentionKeyValueGrad: tile, attentionBiasGrad: ofBias } })]);
    const given = makeGiven({ title: '', bias: [true, true, true, true], sizes: { seqLen: 90, kvLen: 77, causal: true } });
    const results: Partial<Record<keyof Results64, Tensor>> = {};
    const programs = launchedBy(() => Object.assign(results, runAll(given)));
    expect(programs.map(({ name, code }) => [name, threadsOf({ code } as GpuProgram)])).toEqual([['attention', 24], ['attentionQueryGrad', 24], ['attentionKeyValueGrad', 24], ['attentionBiasGrad', 40]]);
    for (const [name, result] of Object.entries(results) as [keyof Results64, Tensor][]) await expectClose(await result.data(), given.expected[name], { rtol: 1e-4, atol: 2e-5 });
    dispose([given.inputs, given.dy, results] as never);
  });

  it('what is timed for sequences of very different lengths takes no more memory than the call itself', async () => {
    await useDevice('webgpu', [webgpu({ tuning: 'auto' })]);
    const gpu = backend() as unknown as GpuBackend & { choose: GpuBackend['choose']; kernelCall<R>(name: string, f: () => R): R; pool: { peakBytesUsed: number; numBytesUsed: number } };
    const { choose, pool } = gpu;
    const choices: GpuChoice[] = [];
    gpu.choose = (choice) => {
      choices.push(choice);
      return choose.call(gpu, choice);
    };
    const before = pool.numBytesUsed;
    const peakOf = (f: () => void): number => {
      pool.peakBytesUsed = pool.numBytesUsed;
      f();
      return pool.peakBytesUsed;
    };
    const [q, k, v, dy] = [1, 2, 3, 4].map((seed) => randomTensor([4096, 2, 4], { seed })) as [Tensor, Tensor, Tensor, Tensor];
    const ends = Array.from({ length: 257 }, (_, i) => (i === 0 ? 0 : 2056 + 8 * (i - 1)));
    const made: Tensor[] = [];
    const ofCall = peakOf(() => {
      const { value, grads } = vjp(() => flashAttentionVarlen(q, k, v, ends, ends, { causal: true }), [q, k, v], dy);
      made.push(value, ...grads);
    }) - before;
    gpu.choose = choose;
    const attention = choices.filter(({ family }) => family.startsWith('attention'));
    const start = pool.numBytesUsed;
    for (const { family, candidates: [usual], trial } of attention) expect(peakOf(() => gpu.kernelCall('tune', () => trial(usual!))) - start, family).toBeLessThanOrEqual(ofCall);
    expect(attention.map(({ family, key }) => [family, key])).toEqual(['attention', 'attentionQueryGrad', 'attentionKeyValueGrad'].map((family) => [family, 'd4 t2^11 s2^11 heads2 group1 sees all 0']));
    dispose([q, k, v, dy, made]);
  });

  it('calls on packed tensors, with a block mask, or observed are of the class of the plain call', async () => {
    await useDevice('webgpu', [webgpu({ tuning: 'auto' })]);
    const keys: string[] = [];
    const gpu = backend() as unknown as GpuBackend & { choose: GpuBackend['choose'] };
    const { choose } = gpu;
    gpu.choose = (choice) => {
      if (choice.family === 'attention') keys.push(choice.key);
      return choose.call(gpu, choice);
    };
    const qkv = randomTensor([1, 20, 24]);
    const [blockMask, ...parts] = tidy(() => [ones([1, 1], 'int32'), ...[0, 8, 16].map((at) => reshape(slice(qkv, [0, 0, at], [1, 20, 8]), [1, 20, 2, 4]))]) as [Tensor, Tensor, Tensor, Tensor];
    const [q, k, v] = parts;
    const made = [
      flashAttention(q!, k!, v!, { causal: true }), flashAttention(q!, k!, v!, { causal: true, blockMask }), flashAttention(q!, k!, v!, { causal: true, observe: () => {} }),
      flashAttentionPacked(qkv, { numHeads: 2, causal: true }), flashAttentionPacked(qkv, { numHeads: 2, causal: true, observe: () => {} }),
    ];
    gpu.choose = choose;
    expect(keys).toEqual(made.map(() => 'd4 t2^4 s2^4 heads2 group1 sees all 0'));
    dispose([qkv, blockMask, parts, made] as never);
  });
});
