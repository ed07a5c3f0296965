import { checkOneOf, ConfigError, type GpuPrecision } from '@evenkeel/core-tensor';
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

/** checkOptions — throws ConfigError unless every option is valid by itself. */
export function checkOptions({ adapter, powerPreference = 'high-performance', toggles = {}, tuning = 'auto', precision = 'f32' }: WebgpuOptions): void {
  if (adapter !== undefined && (typeof adapter !== 'string' || adapter === '')) {
    throw new ConfigError(`webgpu: adapter must be part of an adapter's name, got ${JSON.stringify(adapter)}`);
  }
  checkOneOf('webgpu', 'powerPreference', powerPreference, ['high-performance', 'low-power']);
  checkOneOf('webgpu', 'precision', precision, ['f32', 'f16']);
  for (const name of [...(toggles.enable ?? []), ...(toggles.disable ?? [])]) {
    if (!/^\w+$/.test(name)) throw new ConfigError(`webgpu: toggles must be names such as skip_validation, got ${JSON.stringify(name)}`);
  }
  if (typeof tuning === 'string') checkOneOf('webgpu', 'tuning', tuning, ['auto', 'off']);
  else if (tuning['matMul'] !== undefined) checkOneOf('webgpu', 'tuning.matMul', tuning['matMul'], VARIANT_NAMES);
}

/** optionsKey — equal for options that mean the same. */
export function optionsKey({ adapter = '', powerPreference = 'high-performance', toggles = {}, tuning, precision = 'f32' }: WebgpuOptions): string {
  return JSON.stringify([adapter, powerPreference, toggles.enable ?? [], toggles.disable ?? [], tuning ?? 'default', precision]);
}
