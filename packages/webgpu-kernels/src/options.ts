import { checkNames, checkOneOf, ConfigError, describeValue, type GpuPrecision } from '@evenkeel/core-tensor';
import { VARIANT_NAMES } from './gemm/variants.ts';
import type { Tuning } from './tuner.ts';

export type WebgpuOptions = {
  /** Use only an adapter whose name contains this text (case matters), such as `llvmpipe`. `evenkeel doctor` prints the names. */
  adapter?: string;
  /** Which GPU of a machine with two; default `high-performance`. */
  powerPreference?: 'high-performance' | 'low-power';
  /** Dawn's toggles by name, in Node only, such as `{ enable: ['skip_validation'] }`. Dawn ignores names it does not know. */
  toggles?: { readonly enable?: readonly string[]; readonly disable?: readonly string[] };
  /**
   * How kernels are chosen where there are several for the same: `auto`, the default on hardware, by what `tune()` found on this
   * adapter, now or in an earlier process; `off`, the default on adapters that compute on the CPU, by rules of thumb, so that
   * results are the same to the bit in every run; or by name, such as `{ matMul: 'tile-64x64' }`, wherever that kernel can.
   */
  tuning?: Tuning;
  /**
   * What matrix products and attention round their factors to; default `f32`. With `f16` sums, parameters and everything else stay f32,
   * products read half the memory, and training needs loss scaling (`train({ lossScale: 'dynamic' })`), as small gradients become 0.
   */
  precision?: GpuPrecision;
};

const NAMES = ['adapter', 'powerPreference', 'toggles', 'tuning', 'precision'] as const satisfies readonly (keyof WebgpuOptions)[];

/** Families of the kernels that there are; others may ask under names of their own. */
const FAMILIES = ['matMul', 'attention', 'attentionQueryGrad', 'attentionKeyValueGrad', 'attentionBiasGrad'];

/** The tiles of attention; which of them there are depends on the device and the call. */
const TILE = /^threads\d+-rows\d+-split\d+-keys\d+$/;

/** checkOptions — throws ConfigError unless every option is valid by itself. */
export function checkOptions(options: WebgpuOptions): void {
  checkNames('webgpu', options, NAMES);
  const { adapter, powerPreference = 'high-performance', toggles = {}, tuning = 'auto', precision = 'f32' } = options;
  if (adapter !== undefined && (typeof adapter !== 'string' || adapter === '')) {
    throw new ConfigError(`webgpu: adapter must be part of an adapter's name, got ${JSON.stringify(adapter)}`);
  }
  checkOneOf('webgpu', 'powerPreference', powerPreference, ['high-performance', 'low-power']);
  checkOneOf('webgpu', 'precision', precision, ['f32', 'f16']);
  checkToggles(toggles);
  if (typeof tuning === 'string') checkOneOf('webgpu', 'tuning', tuning, ['auto', 'off']);
  else checkTuning(tuning);
}

function checkToggles(toggles: NonNullable<WebgpuOptions['toggles']>): void {
  checkNames('webgpu', toggles, ['enable', 'disable'], 'toggles');
  for (const [list, names] of Object.entries(toggles) as [string, unknown][]) {
    if (names !== undefined && !Array.isArray(names)) throw new ConfigError(`webgpu: toggles.${list} must be an array such as ['skip_validation'], got ${describeValue(names)}`);
    for (const name of (names ?? []) as unknown[]) {
      if (typeof name !== 'string' || !/^\w+$/.test(name)) throw new ConfigError(`webgpu: toggles must be names such as skip_validation, got ${JSON.stringify(name)}`);
    }
  }
}

/** Of families that are not known here, nothing but that they are no known one misspelt by its case. */
function checkTuning(tuning: Readonly<Record<string, unknown>>): void {
  if (typeof tuning !== 'object' || tuning === null || Array.isArray(tuning)) {
    throw new ConfigError(`webgpu: tuning must be 'auto', 'off' or kernels by name such as { matMul: 'tile-64x64' }, got ${describeValue(tuning)}`);
  }
  for (const [family, name] of Object.entries(tuning)) {
    const meant = FAMILIES.find((known) => known !== family && known.toLowerCase() === family.toLowerCase());
    if (meant !== undefined) throw new ConfigError(`webgpu: tuning must name ${meant}, got ${family}`);
    if (name === undefined) continue;
    if (typeof name !== 'string') throw new ConfigError(`webgpu: tuning.${family} must be the name of a kernel, got ${describeValue(name)}`);
    if (family === 'matMul') checkOneOf('webgpu', 'tuning.matMul', name, VARIANT_NAMES);
    else if (FAMILIES.includes(family) && !TILE.test(name)) throw new ConfigError(`webgpu: tuning.${family} must be a tile such as threads32-rows1-split1-keys16, got ${name}`);
  }
}

/** optionsKey — equal for options that mean the same. */
export function optionsKey({ adapter = '', powerPreference = 'high-performance', toggles = {}, tuning, precision = 'f32' }: WebgpuOptions): string {
  return JSON.stringify([adapter, powerPreference, toggles.enable ?? [], toggles.disable ?? [], tuning ?? 'default', precision]);
}
