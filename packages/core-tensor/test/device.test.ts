import { getBackend, setBackend } from '@tensorflow/tfjs-core';
import { ConfigError, tfjsBackend, UnsupportedError, useDevice, type DeviceKind, type DeviceProvider } from '@evenkeel/core-tensor';
import { afterEach, describe, expect, it } from 'vitest';

/** A provider whose tfjs backend is the CPU's under another pretence; it notes whether it was created. */
const created: string[] = [];
const fake = (name: string, kind: DeviceKind, unavailable?: string): DeviceProvider => ({
  name, backendName: 'cpu',
  probe: async () => ({ available: unavailable === undefined, kind, reason: unavailable ?? `${name} is here`, details: { threads: 2 } }),
  create: async () => { created.push(name); },
});

afterEach(async () => {
  created.length = 0;
  await setBackend('cpu');
});

describe("useDevice('auto', providers)", () => {
  it("useDevice('auto', …) prefers hardware, then our CPU kernels, then tfjs' reference, whatever the order", async () => {
    const all = [tfjsBackend('cpu'), fake('wasm', 'processor'), fake('gpu', 'accelerator')];
    expect((await useDevice('auto', all)).name).toBe('gpu');
    expect((await useDevice('auto', all.slice(0, 2))).name).toBe('wasm');
    expect((await useDevice('auto', all.slice(0, 1))).name).toBe('cpu');
    expect(created).toEqual(['gpu', 'wasm']);
  });

  it("useDevice('auto', …) never chooses an emulated GPU, but says that it was there", async () => {
    const device = await useDevice('auto', [fake('webgpu', 'software'), fake('wasm', 'processor')]);
    expect(device.name).toBe('wasm');
    expect(device.reason).toBe('chosen automatically; webgpu: webgpu is here; wasm: wasm is here');
    expect(device.considered[0]).toEqual({ name: 'webgpu', available: true, kind: 'software', reason: 'webgpu is here', details: { threads: 2 } });
  });

  it("useDevice('auto', …) passes over devices that are unavailable or whose probe fails", async () => {
    const broken: DeviceProvider = { ...fake('gpu', 'accelerator'), probe: async () => { throw new Error('no driver'); } };
    const device = await useDevice('auto', [broken, fake('wasm', 'processor', 'no SIMD'), tfjsBackend('cpu')]);
    expect(device).toMatchObject({ name: 'cpu', backendName: 'cpu', kind: 'reference' });
    expect(device.reason).toContain('gpu: probing failed: no driver; wasm: no SIMD');
    expect(getBackend()).toBe('cpu');
  });

  it("useDevice('auto', …) says of every device why it cannot be had, if none can", async () => {
    const run = useDevice('auto', [fake('gpu', 'accelerator', 'no adapter'), fake('wasm', 'processor', 'no SIMD')]);
    await expect(run).rejects.toThrow(UnsupportedError);
    await expect(useDevice('auto', [fake('webgpu', 'software'), fake('wasm', 'processor', 'no SIMD')])).rejects.toThrow(
      "useDevice: no device for auto is available here: webgpu: webgpu is here; wasm: no SIMD; name it to use it anyway: useDevice('webgpu', …)");
    await expect(run).rejects.toThrow('useDevice: no device for auto is available here: gpu: no adapter; wasm: no SIMD');
  });
});

describe('useDevice(name, providers)', () => {
  it('useDevice(name, …) refuses providers that are none', async () => {
    const provider = fake('webgpu', 'accelerator');
    const wrong: [unknown, string][] = [
      [undefined, 'undefined'], [provider, 'an object'], [() => provider, 'a function'], ['webgpu', '"webgpu"'], [[], '[]'],
      [[provider, () => provider], '[webgpu, a function]'], [[undefined], '[undefined]'],
    ];
    for (const [providers, got] of wrong) {
      await expect(useDevice('webgpu', providers as DeviceProvider[])).rejects.toThrow(new ConfigError(`useDevice: providers must be an array such as [webgpu(), wasm()], got ${got}`));
    }
  });

  it('useDevice(name, …) takes the device asked for, even an emulated one', async () => {
    const device = await useDevice('webgpu', [fake('wasm', 'processor'), fake('webgpu', 'software')]);
    expect(device).toMatchObject({ name: 'webgpu', kind: 'software', reason: 'asked for by name' });
    expect(created).toEqual(['webgpu']);
  });

  it('useDevice(name, …) does not fall back to another device', async () => {
    const run = useDevice('gpu', [fake('gpu', 'accelerator', 'no adapter'), fake('wasm', 'processor')]);
    await expect(run).rejects.toThrow(new UnsupportedError('useDevice: gpu is not available here: no adapter'));
    expect(created).toEqual([]);
  });

  it('useDevice(name, …) lists the names it knows', async () => {
    const run = useDevice('tpu', [fake('gpu', 'accelerator'), tfjsBackend('cpu')]);
    await expect(run).rejects.toThrow(ConfigError);
    await expect(run).rejects.toThrow('useDevice: name must be one of auto, gpu, cpu, got tpu');
  });
});

describe('tfjsBackend(backendName)', () => {
  it('tfjsBackend(backendName) is available once the backend is registered with tfjs', async () => {
    expect(await tfjsBackend('cpu').probe()).toMatchObject({ available: true, kind: 'reference' });
    expect(await tfjsBackend('tensorflow').probe()).toEqual({ available: false, kind: 'reference', reason: 'no tfjs backend named tensorflow is registered' });
  });
});
