import type { GpuBackend } from '@evenkeel/core-tensor';

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
