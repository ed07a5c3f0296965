import { gpuEntry, type GpuEntry, type Missing } from './gpuEntry.ts';
import { refusedDriver } from './missingDriver.ts';
import type { WebgpuOptions } from './options.ts';
import { usefulFeatures, usefulLimits } from './requirements.ts';

/** FoundAdapter — an adapter and where it came from. It can open one device; ask anew for another. */
export type FoundAdapter = GpuEntry & { readonly adapter: GPUAdapter };

type AdapterFacts = {
  readonly name: string;
  readonly isSoftware: boolean;
  readonly details: Readonly<Record<string, string | number | boolean>>;
};

/** What the names of adapters that compute on the CPU contain. */
const SOFTWARE = /llvmpipe|lavapipe|softpipe|swiftshader|software|\bwarp\b|basic render|\bcpu\b/i;

/** requestAdapter — the adapter that the options ask for, or why there is none. */
export async function requestAdapter(options: WebgpuOptions): Promise<FoundAdapter | Missing> {
  const entry = await gpuEntry(options);
  if ('missing' in entry) return entry;
  const { adapter: wanted, powerPreference = 'high-performance' } = options;
  try {
    const adapter = await entry.gpu.requestAdapter({ powerPreference });
    if (adapter === null) return { missing: refusedDriver() };
    if (wanted === undefined || entry.dawn !== undefined || fits(adapter, wanted)) return { ...entry, adapter }; // Dawn chose by name itself
    const fallback = await entry.gpu.requestAdapter({ forceFallbackAdapter: true });
    if (fallback !== null && fits(fallback, wanted)) return { ...entry, adapter: fallback };
    const names = [adapter, fallback].flatMap((each) => (each === null ? [] : [adapterName(each)]));
    return { missing: `no adapter's name contains "${wanted}"; there is ${[...new Set(names)].join(', ')}` };
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error);
    const names = [...text.matchAll(/name: '([^']*)'/g)].map(([, name]) => name); // Dawn's list, when its adapter flag matches none
    return { missing: wanted !== undefined && names.length > 0 ? `no adapter's name contains "${wanted}"; there is ${names.join(', ')}` : text };
  }
}

/** describeAdapter — its name, whether it emulates a GPU on the CPU, and facts for `evenkeel doctor`. */
export function describeAdapter({ adapter, source }: FoundAdapter): AdapterFacts {
  const { vendor = '', architecture = '', device = '', description = '', isFallbackAdapter = false } = infoOf(adapter);
  const isSoftware = isFallbackAdapter || SOFTWARE.test([vendor, architecture, device, description].join(' '));
  const details = {
    adapter: adapterName(adapter), vendor, architecture, source, software: isSoftware,
    features: usefulFeatures(adapter).join(', '),
    ...usefulLimits(adapter),
  };
  return { name: adapterName(adapter), isSoftware, details };
}

/** adapterName — the driver's words where the platform tells them, else vendor and architecture. */
export function adapterName(adapter: GPUAdapter): string {
  const { vendor = '', architecture = '', device = '', description = '' } = infoOf(adapter);
  return description || device || [vendor, architecture].filter(Boolean).join(' ') || 'an adapter without a name';
}

const infoOf = (adapter: GPUAdapter): Partial<GPUAdapterInfo> => (adapter.info as GPUAdapterInfo | undefined) ?? {};

function fits(adapter: GPUAdapter, wanted: string): boolean {
  const { vendor = '', architecture = '', device = '', description = '' } = infoOf(adapter);
  return [description, device, `${vendor} ${architecture}`].some((text) => text.includes(wanted));
}
