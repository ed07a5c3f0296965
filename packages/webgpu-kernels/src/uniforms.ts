import { currentNumber, UNIFORM_BYTES, type GpuDispatch, type GpuProgram } from '@evenkeel/core-tensor';
import type { BindLayout } from './pipelines.ts';

/** UniformPlace — where a launch finds its uniforms: `bytes` of a buffer from `offset` on. */
export type UniformPlace = { readonly buffer: GPUBuffer; readonly offset: number; readonly bytes: number };

/** bindGroupOf — tensors and, where the layout has them, uniforms. */
export function bindGroupOf(device: GPUDevice, { layout, hasUniforms }: BindLayout, tensors: readonly GPUBufferBinding[], { buffer, offset, bytes }: UniformPlace): GPUBindGroup {
  const bound = hasUniforms ? [...tensors, { buffer, offset, size: uniformRoom(bytes) }] : tensors;
  return device.createBindGroup({ layout, entries: bound.map((resource, binding) => ({ binding, resource })) });
}

/** uniformRoom — the bytes that uniforms take among others: whole places where an offset may point to. */
export const uniformRoom = (bytes: number): number => Math.max(1, Math.ceil(bytes / UNIFORM_BYTES)) * UNIFORM_BYTES;

/** writeUniforms — the values of a launch in the order of the program's, one word each. */
export function writeUniforms(
  { name, uniforms }: GpuProgram, values: NonNullable<GpuDispatch['uniforms']>, floats: Float32Array, integers: Int32Array, start: number,
): void {
  for (let i = 0; i < uniforms.length; i++) {
    const { name: field, type } = uniforms[i] as GpuProgram['uniforms'][number];
    const given = values[field];
    if (given === undefined) throw new Error(`dispatch: uniforms of ${name} must have ${field}, got ${Object.keys(values).join(', ')}`);
    const value = currentNumber(given);
    if (type === 'f32') floats[start + i] = value;
    else integers[start + i] = value; // u32 wraps into the same bits
  }
}
