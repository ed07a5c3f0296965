import { ConfigError, tfjsBackend, UnsupportedError, useDevice } from '@evenkeel/core-tensor';
import { expectClose, forEachBackend } from '@evenkeel/testing';
import { webgpu, type WebgpuOptions } from '@evenkeel/webgpu-kernels';
import { backend, env, getBackend, matMul, memory, setBackend, tensor2d } from '@tensorflow/tfjs-core';
import type { WebGPUBackend } from '@tensorflow/tfjs-backend-webgpu';
import { afterEach, expect, it } from 'vitest';

const gpuBackend = (): WebGPUBackend => backend() as unknown as WebGPUBackend;

it('webgpu(options) refuses options that cannot be meant', () => {
  expect(() => webgpu({ adapter: '' })).toThrow(new ConfigError('webgpu: adapter must be part of an adapter\'s name, got ""'));
  expect(() => webgpu({ powerPreference: 'fast' as WebgpuOptions['powerPreference'] }))
    .toThrow(new ConfigError('webgpu: powerPreference must be one of high-performance, low-power, got fast'));
  expect(() => webgpu({ toggles: { enable: ['skip_validation,adapter=x'] } }))
    .toThrow(new ConfigError('webgpu: toggles must be names such as skip_validation, got "skip_validation,adapter=x"'));
  expect(() => webgpu({ toggles: { enable: 'x' as never } })).toThrow(new ConfigError('webgpu: toggles.enable must be an array such as [\'skip_validation\'], got "x"'));
  expect(() => webgpu({ toggles: { disable: [7 as never] } })).toThrow(new ConfigError('webgpu: toggles must be names such as skip_validation, got 7'));
  expect(() => webgpu({ toggles: ['a'] as never })).toThrow(new ConfigError('webgpu: toggles must be an object of enable, disable, got an array'));
  expect(() => webgpu({ precison: 'f16' } as never)).toThrow(new ConfigError('webgpu: options must be among adapter, powerPreference, toggles, tuning, precision, got precison'));
  expect(() => webgpu(null as never)).toThrow(new ConfigError('webgpu: options must be an object of adapter, powerPreference, toggles, tuning, precision, got null'));
});

forEachBackend(['evenkeel-webgpu'], () => {
  afterEach(() => setBackend('evenkeel-webgpu'));

  it('webgpu().probe() names the adapter, tells its kind and lists features and limits', async () => {
    const probe = await webgpu().probe();
    expect(probe.available).toBe(true);
    expect(probe.kind).toBe(probe.details?.['software'] ? 'software' : 'accelerator');
    expect(probe.reason).toContain(probe.details?.['adapter']);
    expect(probe.details?.['maxComputeInvocationsPerWorkgroup']).toBeGreaterThanOrEqual(256);
  });

  it('webgpu({ adapter }).probe() takes the adapter of that name, and lists what there is when none has it', async () => {
    const name = String((await webgpu().probe()).details?.['adapter']).split(/[\s:]/)[0]!;
    expect((await webgpu({ adapter: name }).probe()).available).toBe(true);
    const probe = await webgpu({ adapter: 'no such adapter' }).probe();
    expect(probe.available).toBe(false);
    expect(probe.reason).toMatch(new RegExp(`no adapter's name contains "no such adapter"; there is .*${name}`));
  });

  it('webgpu({ adapter }).create() throws the reason of the probe', async () => {
    await expect(webgpu({ adapter: 'no such adapter' }).create()).rejects.toThrow(UnsupportedError);
    await expect(webgpu({ adapter: 'no such adapter' }).create()).rejects.toThrow('a GPU adapter must be available here');
  });

  it('useDevice(auto, [webgpu(), cpu]) chooses a GPU only if it is hardware, and says what it passed over', async () => {
    const providers = [webgpu(), tfjsBackend('cpu')];
    const device = await useDevice('auto', providers);
    const { kind } = await webgpu().probe();
    expect(device.name).toBe(kind === 'accelerator' ? 'webgpu' : 'cpu');
    expect(device.reason).toContain('webgpu: ');
    expect((await useDevice('webgpu', providers)).kind).toBe(kind);
    expect(getBackend()).toBe('evenkeel-webgpu');
  });

  it('webgpu().create() opens a device with the features and limits of the adapter', async () => {
    const { details } = await webgpu().probe();
    const { device } = gpuBackend();
    expect(String(details?.['features']).split(', ').filter((name) => !device.features.has(name))).toEqual([]);
    expect(device.limits.maxComputeWorkgroupStorageSize).toBe(details?.['maxComputeWorkgroupStorageSize']);
    expect(device.limits.maxStorageBuffersPerShaderStage).toBe(details?.['maxStorageBuffersPerShaderStage']);
  });

  it('webgpu().create() keeps a working device made with the same options, tensors and all', async () => {
    const x = tensor2d([[1, 2], [3, 4]]);
    const before = backend();
    await useDevice('webgpu', [webgpu()]);
    await useDevice('webgpu', [webgpu({ powerPreference: 'high-performance' })]);
    expect(backend()).toBe(before);
    const y = matMul(x, x);
    await expectClose(y, [[7, 10], [15, 22]]);
    x.dispose();
    y.dispose();
  });

  it('webgpu(other options).create() refuses to replace a device that holds tensors', async () => {
    const x = tensor2d([[1, 2], [3, 4]]);
    const y = matMul(x, x);
    const other = webgpu({ powerPreference: 'low-power' });
    await expect(other.create()).rejects.toThrow(ConfigError);
    await expect(other.create()).rejects.toThrow(/must hold no tensors when another device is opened, got \d+; dispose them/);
    await expectClose(y, [[7, 10], [15, 22]]);
    x.dispose();
    y.dispose();
    expect(memory().numTensors).toBe(0);
    const before = backend();
    await useDevice('webgpu', [other]);
    expect(backend()).not.toBe(before);
    await useDevice('webgpu', [webgpu()]);
  });

  it('webgpu() never computes small tensors on the CPU behind the kernels\' back', () => {
    expect(env().getBool('WEBGPU_CPU_FORWARD')).toBe(false);
  });
});
