/** What a device is asked for beyond WebGPU's defaults: everything the adapter has that computing can use. */

const FEATURES = [
  'shader-f16', 'subgroups', 'subgroup-size-control', 'chromium-experimental-subgroup-matrix', 'timestamp-query',
  'bgra8unorm-storage', // tfjs draws tensors into canvases with it
];

const LIMITS = [
  'maxBufferSize', 'maxStorageBufferBindingSize', 'maxUniformBufferBindingSize', 'maxStorageBuffersPerShaderStage',
  'maxBindGroups', 'maxBindingsPerBindGroup', 'maxImmediateSize', 'maxComputeWorkgroupStorageSize', 'maxComputeInvocationsPerWorkgroup',
  'maxComputeWorkgroupSizeX', 'maxComputeWorkgroupSizeY', 'maxComputeWorkgroupSizeZ', 'maxComputeWorkgroupsPerDimension',
];

/** usefulFeatures — those of our list that the adapter has. */
export function usefulFeatures(adapter: GPUAdapter): GPUFeatureName[] {
  return FEATURES.filter((name) => adapter.features.has(name)) as GPUFeatureName[];
}

/** usefulLimits — the adapter's own value of every limit of our list that it knows. */
export function usefulLimits(adapter: GPUAdapter): Record<string, number> {
  const limits = adapter.limits as unknown as Record<string, number | undefined>;
  return Object.fromEntries(LIMITS.flatMap((name) => (limits[name] === undefined ? [] : [[name, limits[name]]])));
}
