import { findBackendFactory, ready, setBackend } from '@tensorflow/tfjs-core';
import { checkOneOf, describeValue } from './check.ts';
import { ConfigError, UnsupportedError } from './errors.ts';

/**
 * DeviceKind — what stands behind a device: `accelerator` hardware GPU, `processor` CPU kernels of our own, `software` a GPU
 * interface emulated on the CPU (never chosen by `auto`), `reference` tfjs' plain JavaScript.
 */
export type DeviceKind = 'accelerator' | 'processor' | 'software' | 'reference';

/** DeviceProbe — whether a device can be had here, and in plain words why (not). */
export type DeviceProbe = {
  readonly available: boolean;
  readonly kind: DeviceKind;
  readonly reason: string;
  /** Facts for `evenkeel doctor`: features, limits, threads. */
  readonly details?: Readonly<Record<string, string | number | boolean>>;
};

/** DeviceProvider — a way to compute; `wasm()` and `webgpu()` make one. `create` registers the tfjs backend. */
export type DeviceProvider = {
  readonly name: string;
  readonly backendName: string;
  probe(): Promise<DeviceProbe>;
  create(): Promise<void>;
};

export type Device = {
  readonly name: string;
  readonly backendName: string;
  readonly kind: DeviceKind;
  /** Why this one: one sentence to print. */
  readonly reason: string;
  readonly considered: readonly (DeviceProbe & { readonly name: string })[];
};

/** Best first; `software` is absent because an emulated GPU is slower than the CPU kernels it runs beside. */
const AUTO_ORDER: readonly DeviceKind[] = ['accelerator', 'processor', 'reference'];

/**
 * useDevice — chooses where all tensors from now on live, and says why.
 *
 * @param name       `auto` (hardware GPU, else our CPU kernels, else tfjs' reference) or the name of a provider.
 * @param providers  the ways this program can compute, such as `[webgpu(), wasm()]`.
 * @throws ConfigError       if `providers` are none, or `name` is neither `auto` nor the name of a provider.
 * @throws UnsupportedError  if the named device, or for `auto` every device, is unavailable; the message says why for each.
 */
export async function useDevice(name: string, providers: readonly DeviceProvider[]): Promise<Device> {
  checkProviders(providers);
  checkOneOf('useDevice', 'name', name, ['auto', ...providers.map((provider) => provider.name)]);
  const asked = providers.filter((provider) => name === 'auto' || provider.name === name);
  const candidates = await Promise.all(asked.map(async (provider) => ({ provider, probe: await safeProbe(provider) })));
  const considered = candidates.map(({ provider, probe }) => ({ name: provider.name, ...probe }));
  const explained = considered.map((each) => `${each.name}: ${each.reason}`).join('; ');
  const chosen = name === 'auto'
    ? AUTO_ORDER.flatMap((kind) => candidates.filter(({ probe }) => probe.available && probe.kind === kind))[0]
    : candidates.find(({ probe }) => probe.available);
  if (chosen === undefined && name !== 'auto') throw new UnsupportedError(`useDevice: ${name} is not available here: ${considered.map(({ reason }) => reason).join('; ')}`);
  if (chosen === undefined) {
    const passedOver = considered.find(({ available }) => available);
    throw new UnsupportedError(`useDevice: no device for auto is available here: ${explained}${passedOver ? `; name it to use it anyway: useDevice('${passedOver.name}', …)` : ''}`);
  }
  const { provider, probe } = chosen;
  await provider.create();
  await setBackend(provider.backendName);
  await ready();
  const reason = name === 'auto' ? `chosen automatically; ${explained}` : 'asked for by name';
  return { name: provider.name, backendName: provider.backendName, kind: probe.kind, reason, considered };
}

function checkProviders(providers: unknown): asserts providers is readonly DeviceProvider[] {
  const isProvider = (each: unknown): each is DeviceProvider => typeof each === 'object' && each !== null && 'name' in each && 'probe' in each && 'create' in each;
  if (Array.isArray(providers) && providers.length > 0 && providers.every(isProvider)) return;
  const got = !Array.isArray(providers) ? describeValue(providers) : `[${providers.map((each) => (isProvider(each) ? each.name : describeValue(each))).join(', ')}]`;
  throw new ConfigError(`useDevice: providers must be an array such as [webgpu(), wasm()], got ${got}`);
}

async function safeProbe(provider: DeviceProvider): Promise<DeviceProbe> {
  try {
    return await provider.probe();
  } catch (error) {
    return { available: false, kind: 'reference', reason: `probing failed: ${error instanceof Error ? error.message : String(error)}` };
  }
}

/** tfjsBackend — a provider for a backend that the program has registered with tfjs itself, such as `cpu`. */
export function tfjsBackend(backendName: string, kind: DeviceKind = 'reference'): DeviceProvider {
  return {
    name: backendName,
    backendName,
    probe: async () => findBackendFactory(backendName) === null || findBackendFactory(backendName) === undefined
      ? { available: false, kind, reason: `no tfjs backend named ${backendName} is registered` }
      : { available: true, kind, reason: `tfjs' own ${backendName} backend` },
    create: async () => {},
  };
}
