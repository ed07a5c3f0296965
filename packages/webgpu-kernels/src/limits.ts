import { describeShape, UnsupportedError, type GpuBackend, type GpuDispatch, type GpuProgram } from '@evenkeel/core-tensor';
import { util, type TensorInfo } from '@tensorflow/tfjs-core';

/** DeviceLimits — those limits of a device that are asked for at every launch. */
export type DeviceLimits = GpuBackend['limits'] & { readonly maxBufferSize: number };

/** limitsOf — a copy as plain numbers: in Node every property of `device.limits` is a call into the driver. */
export function limitsOf({ limits }: GPUDevice): DeviceLimits {
  return {
    maxBufferSize: limits.maxBufferSize,
    maxComputeInvocationsPerWorkgroup: limits.maxComputeInvocationsPerWorkgroup,
    maxComputeWorkgroupSizeX: limits.maxComputeWorkgroupSizeX,
    maxComputeWorkgroupStorageSize: limits.maxComputeWorkgroupStorageSize,
    maxComputeWorkgroupsPerDimension: limits.maxComputeWorkgroupsPerDimension,
    maxStorageBuffersPerShaderStage: limits.maxStorageBuffersPerShaderStage,
    maxStorageBufferBindingSize: limits.maxStorageBufferBindingSize,
  };
}

/** checkSize — refuses what the device cannot bind, before anything is made for it. */
export function checkSize({ maxBufferSize, maxStorageBufferBindingSize }: DeviceLimits, name: string, shape: readonly number[]): void {
  const limit = Math.floor(Math.min(maxBufferSize, maxStorageBufferBindingSize) / 16) * 16; // whole vectors of four
  const bytes = 4 * util.sizeFromShape(shape as number[]);
  if (bytes > limit) {
    throw new UnsupportedError(`webgpu: a tensor must have at most ${limit} bytes on this device, got ${bytes} for ${describeShape(shape)} in ${name}`);
  }
}

/** Elements of float32 tensors; what is bound as others may be any tensor. */
const FLOATS: ReadonlySet<string> = new Set(['f32', 'vec2f', 'vec4f']);

/** checkBound — the tensor for a binding of a program; refuses a missing one, and one of another dtype. */
export function checkBound({ name }: GpuProgram, { name: binding, element }: GpuProgram['bindings'][number], tensors: GpuDispatch['tensors']): TensorInfo {
  const tensor = tensors[binding];
  if (tensor === undefined) throw new Error(`dispatch: tensors of ${name} must have ${binding}, got ${Object.keys(tensors).join(', ')}`);
  if (tensor.dtype !== 'float32' && FLOATS.has(element)) throw new UnsupportedError(`dispatch: ${binding} of ${name} must be float32, got ${tensor.dtype}`);
  return tensor;
}

/** checkWrites — refuses a tensor that is written and bound a second time, which the device would report without a name. */
export function checkWrites({ name, bindings }: GpuProgram, buffers: readonly GPUBuffer[]): void {
  for (let i = 0; i < buffers.length; i++) {
    if (bindings[i]?.access !== 'write' || buffers.lastIndexOf(buffers[i] as GPUBuffer) === buffers.indexOf(buffers[i] as GPUBuffer)) continue;
    throw new Error(`dispatch: tensors of ${name} must have ${bindings[i]?.name}, which is written, in one place, got two`);
  }
}
