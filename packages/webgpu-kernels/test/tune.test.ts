import { captureStep, ConfigError, GPU_BACKEND, gpuProgram, useDevice, type GpuBackend } from '@evenkeel/core-tensor';
import { forEachBackend, slowOrQuick } from '@evenkeel/testing';
import { tune, webgpu } from '@evenkeel/webgpu-kernels';
import { add, backend, dispose, matMul, ones, scalar, setBackend, tensor2d, tidy, util, type Scalar } from '@tensorflow/tfjs-core';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';

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

  it('tune() is refused on an adapter that computes on the CPU, unless tuning is auto', async () => {
    await expect(tune()).rejects.toThrow("tune: tuning of the device must be 'auto', got \"off\"; open it with webgpu({ tuning: 'auto' })");
  });

  it('tune() finds the faster of two ways on the device, and later devices remember it; with tuning off none does', async () => {
    await useDevice('webgpu', [webgpu({ tuning: 'auto' })]);
    expect(slowOrQuick(gpuProgram)).toBe('slow');
    const told: unknown[] = [];
    const [tuned, ...rest] = await tune([], { onTuned: (...each) => told.push(each) });
    expect(rest).toEqual([]);
    expect(told).toEqual([[tuned, 0]]);
    expect(tuned).toMatchObject({ class: 'spin@1 all', winner: 'quick' });
    expect(tuned?.milliseconds['slow']).toBeGreaterThan(tuned?.milliseconds['quick'] as number);
    expect(slowOrQuick(gpuProgram)).toBe('quick');
    expect(await tune()).toEqual([]);
    await useDevice('webgpu', [webgpu({ tuning: 'off' })]);
    expect(slowOrQuick(gpuProgram)).toBe('slow');
    await useDevice('webgpu', [webgpu({ tuning: 'auto' })]);
    expect(slowOrQuick(gpuProgram)).toBe('quick');
    await useDevice('webgpu', [webgpu({ tuning: { spin: 'quick' } })]);
    expect(slowOrQuick(gpuProgram)).toBe('quick');
  });

  it('a captured step takes what tuning has found since it was recorded', async () => {
    rmSync(join(folder, 'evenkeel'), { recursive: true });
    await useDevice('webgpu', [webgpu()]);
    await useDevice('webgpu', [webgpu({ tuning: 'auto' })]);
    const ways: string[] = [];
    const step = captureStep(({ x }: { x: Scalar }) => {
      ways.push(slowOrQuick(gpuProgram));
      return add(x, ways.at(-1) === 'slow' ? 1 : 2);
    });
    const x = scalar(3);
    const run = async (): Promise<number> => {
      const y = step({ x });
      const [value] = await y.data();
      y.dispose();
      return value as number;
    };
    for (let i = 0; i < 4; i++) expect(await run()).toBe(4);
    expect(step.status().state).toBe('captured');
    expect(await tune()).toHaveLength(1);
    for (let i = 0; i < 20; i++) expect(await run()).toBe(5);
    expect(step.status().state).toBe('captured');
    expect(ways.at(-1)).toBe('quick');
    step.dispose();
    x.dispose();
  });

  it('tune() times a product with tensors no larger than its own: B that repeats is there once', async () => {
    rmSync(join(folder, 'evenkeel'), { recursive: true, force: true });
    await useDevice('webgpu', [webgpu()]);
    await useDevice('webgpu', [webgpu({ tuning: 'auto' })]);
    const gpu = backend() as unknown as GpuBackend;
    const [a, b] = [ones([20, 64, 4]), ones([1, 64, 64])];
    const c = matMul(a, b, true);
    const temporary = vi.spyOn(gpu, 'temporary');
    const [tuned, ...rest] = await tune();
    expect(tuned?.class).toContain('matMul');
    expect(rest).toEqual([]);
    expect(Object.keys(tuned?.milliseconds ?? {}).length).toBeGreaterThan(5);
    expect(Math.max(...temporary.mock.calls.map(([shape]) => util.sizeFromShape([...shape])))).toBe(c.size);
    temporary.mockRestore();
    dispose([a, b, c]);
  });

  it('tune() ends with the error of a device that is lost', async () => {
    rmSync(join(folder, 'evenkeel'), { recursive: true, force: true });
    await useDevice('webgpu', [webgpu({ tuning: 'auto', toggles: { enable: ['lost_while_tuning'] } })]);
    const gpu = backend() as unknown as GpuBackend & { device: GPUDevice };
    slowOrQuick(gpuProgram);
    tidy(() => matMul(ones([7, 8]), ones([8, 9])));
    await expect(tune([], { onTuned: () => gpu.device.destroy() })).rejects.toThrow('webgpu: the device must be working, got the device was lost');
    await useDevice('webgpu', [webgpu({ tuning: 'auto' })]);
  });

  it('webgpu({ tuning: { matMul } }) computes products by that kernel', async () => {
    await useDevice('webgpu', [webgpu({ tuning: { matMul: 'register-4x4' } })]);
    const gpu = backend() as unknown as GpuBackend;
    const { dispatch } = gpu;
    const names: string[] = [];
    gpu.dispatch = (program, launch) => {
      names.push(program.name);
      dispatch.call(gpu, program, launch);
    };
    const [x, y] = [tensor2d([[1, 2], [3, 4]]), tensor2d([[5, 6], [7, 8]])];
    const z = matMul(x, y);
    expect([...await z.data()]).toEqual([19, 22, 43, 50]);
    expect(names).toEqual(['gemmNNRegister4x4']); // of two rows, which few-rows would take
    for (const each of [x, y, z]) each.dispose();
  });

  it('tune() is refused on other backends, and for products and options that are none', async () => {
    const product = { m: 1, n: 1, k: 1 };
    await expect(tune([{ m: 0, n: 1, k: 1 }])).rejects.toThrow('tune: m must be an integer ≥ 1, got 0');
    await expect(tune([{ ...product, activation: 'foo' as never }])).rejects.toThrow(new ConfigError('tune: activation must be one of linear, relu, relu6, gelu, geluTanh, silu, got foo'));
    await expect(tune([product, null as never])).rejects.toThrow(/^tune: products\[1\] must be an object of m, n, k, .*, got null$/);
    await expect(tune([{ ...product, transposeC: true } as never])).rejects.toThrow(/^tune: products\[0\] must be among m, n, k, .*, got transposeC$/);
    await expect(tune('x' as never)).rejects.toThrow(new ConfigError('tune: products must be an array such as [{ m: 64, n: 64, k: 64 }], got "x"'));
    await expect(tune([], { onTune: () => {} } as never)).rejects.toThrow(new ConfigError('tune: options must be among onTuned, signal, got onTune'));
    await setBackend('cpu');
    await expect(tune()).rejects.toThrow('tune: the active backend must be evenkeel-webgpu, got cpu');
    await setBackend(GPU_BACKEND);
  });
});
