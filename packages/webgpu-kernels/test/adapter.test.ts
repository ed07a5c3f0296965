import { UnsupportedError } from '@evenkeel/core-tensor';
import { webgpu } from '@evenkeel/webgpu-kernels';
import { afterEach, describe, expect, it } from 'vitest';

type FakeInfo = { vendor?: string; architecture?: string; device?: string; description?: string; isFallbackAdapter?: boolean };

/** A platform that brings its own `navigator.gpu`, as browsers do: the first adapter, and the one for forceFallbackAdapter. */
function fakePlatform(info: FakeInfo | undefined, fallback?: FakeInfo): void {
  const adapterOf = (each: FakeInfo | undefined) => (each === undefined ? null : {
    info: each,
    features: new Set(['shader-f16', 'depth-clip-control']),
    limits: { maxBufferSize: 1024, maxStorageBufferBindingSize: 512 },
    requestDevice: () => Promise.reject(new Error('no memory left')),
  });
  const gpu = { requestAdapter: async (options: { forceFallbackAdapter?: boolean }) => adapterOf(options.forceFallbackAdapter ? fallback : info) };
  Object.defineProperty(globalThis.navigator, 'gpu', { value: gpu, configurable: true });
}

afterEach(() => {
  Reflect.deleteProperty(globalThis.navigator, 'gpu');
});

describe('webgpu().probe()', () => {
  it.each<[FakeInfo]>([
    [{ vendor: 'nvidia', architecture: 'hopper', description: 'NVIDIA H100 80GB HBM3' }],
    [{ vendor: 'apple', architecture: 'metal-3' }],
    [{ vendor: 'intel', architecture: 'gen-12lp', description: 'Intel(R) Iris(R) Xe Graphics (TGL GT2)' }],
    [{ vendor: 'amd', architecture: 'rdna-3', isFallbackAdapter: false }],
    [{}],
  ])('takes %o for hardware', async (info) => {
    fakePlatform(info);
    const probe = await webgpu().probe();
    expect(probe).toMatchObject({ available: true, kind: 'accelerator', details: { software: false } });
  });

  it.each<[FakeInfo]>([
    [{ vendor: 'mesa', architecture: '', description: 'llvmpipe (LLVM 19.1.7, 256 bits)' }],
    [{ vendor: 'google', architecture: 'swiftshader' }],
    [{ vendor: 'microsoft', architecture: 'warp', description: 'Microsoft Basic Render Driver' }],
    [{ vendor: '', description: 'CPU rasteriser' }],
    [{ vendor: 'somebody', architecture: 'unheard-of', isFallbackAdapter: true }],
  ])('takes %o for software', async (info) => {
    fakePlatform(info);
    const probe = await webgpu().probe();
    expect(probe).toMatchObject({ available: true, kind: 'software' });
    expect(probe.reason).toContain('emulates a GPU on the CPU');
  });

  it('names the adapter by its description, else its device, else vendor and architecture', async () => {
    const reasonOf = async (info: FakeInfo) => {
      fakePlatform(info);
      return (await webgpu().probe()).reason;
    };
    expect(await reasonOf({ vendor: 'v', architecture: 'a', device: 'd', description: 'words' })).toBe('words through navigator.gpu');
    expect(await reasonOf({ vendor: 'v', architecture: 'a', device: 'd' })).toBe('d through navigator.gpu');
    expect(await reasonOf({ vendor: 'v', architecture: 'a' })).toBe('v a through navigator.gpu');
    expect(await reasonOf({})).toBe('an adapter without a name through navigator.gpu');
  });

  it('lists the features and limits that computing can use, and no others', async () => {
    fakePlatform({ vendor: 'v' });
    const { details } = await webgpu().probe();
    expect(details).toMatchObject({ features: 'shader-f16', maxBufferSize: 1024, maxStorageBufferBindingSize: 512 });
    expect(details).not.toHaveProperty('maxBindGroups');
  });

  it('says so when the platform has no adapter', async () => {
    fakePlatform(undefined);
    const probe = await webgpu().probe();
    expect(probe.available).toBe(false);
    expect(probe.reason).toMatch(/no GPU that it can use/);
  });
});

describe('webgpu({ adapter }).probe()', () => {
  it('falls back to the platform\'s software adapter if that has the name, and else lists both', async () => {
    fakePlatform({ vendor: 'nvidia', architecture: 'ada' }, { vendor: 'google', architecture: 'swiftshader' });
    expect(await webgpu({ adapter: 'nvidia' }).probe()).toMatchObject({ available: true, kind: 'accelerator' });
    expect(await webgpu({ adapter: 'swiftshader' }).probe()).toMatchObject({ available: true, kind: 'software' });
    expect(await webgpu({ adapter: 'amd' }).probe())
      .toMatchObject({ available: false, reason: 'no adapter\'s name contains "amd"; there is nvidia ada, google swiftshader' });
  });
});

describe('webgpu({ toggles }).probe()', () => {
  it('says that a platform with its own navigator.gpu has no toggles', async () => {
    fakePlatform({ vendor: 'nvidia' });
    const probe = await webgpu({ toggles: { enable: ['skip_validation'] } }).probe();
    expect(probe).toMatchObject({ available: false });
    expect(probe.reason).toContain('toggles exist only where Dawn is started from Node');
  });
});

describe('webgpu().create()', () => {
  it('names the adapter that gave no device, and why', async () => {
    fakePlatform({ description: 'Busy GPU' });
    await expect(webgpu().create()).rejects.toThrow(new UnsupportedError('webgpu: Busy GPU must give a device, got no memory left'));
  });
});
