import { GPU_BACKEND, UnsupportedError } from '@evenkeel/core-tensor';
import { engine, util, type BackendValues, type DataId } from '@tensorflow/tfjs-core';
import type { BufferPool } from './bufferPool.ts';
import { resting } from './resting.ts';
import type { StockBackend, TensorData } from './stockBackend.ts';

/**
 * readBack — a tensor's values from the device, kept beside it until a kernel writes there; undefined where tfjs knows better: of
 * complex tensors. Not for values that are on the CPU.
 */
export async function readBack(backend: StockBackend & { readonly pool: BufferPool }, dataId: DataId): Promise<BackendValues | undefined> {
  const data = backend.tensorMap.get(dataId);
  if (data.dtype === 'complex64') return undefined;
  if ((data.resource ?? null) === null) return util.sizeFromShape(data.shape) === 0 ? util.getTypedArrayFromDType(data.dtype as 'float32', 0) : undefined;
  const { writes } = data;
  const bytes = 4 * util.sizeFromShape(data.shape);
  const staging = backend.pool.acquireBuffer(bytes, GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST);
  backend.ensureCommandEncoderReady();
  backend.endComputePassEncoder();
  (backend.commandEncoder as GPUCommandEncoder).copyBufferToBuffer(data.resource as GPUBuffer, 0, staging, 0, bytes);
  for (const buffer of [data.resource as GPUBuffer, staging]) backend.pool.use(buffer).lastBatch = backend.pool.batch;
  backend.submitQueue();
  try {
    await resting(staging.mapAsync(GPUMapMode.READ, 0, bytes));
    const values = util.convertBackendValuesAndArrayBuffer(staging.getMappedRange(0, bytes).slice(0), data.dtype);
    staging.unmap();
    if (data.writes === writes) data.values = values;
    return values;
  } finally {
    backend.pool.releaseBuffer(staging, staging.mapState === 'unmapped');
  }
}

/**
 * checkOnCpu — throws UnsupportedError unless the CPU has the tensor's values. A synchronous reading of others would go through a canvas:
 * Node has none, and a browser's software adapter answers with zeros and loses its device.
 */
export function checkOnCpu({ values, dtype }: TensorData): void {
  if ((values ?? null) !== null || dtype === 'complex64') return; // of a complex tensor its parts are read
  const { backendName } = engine();
  throw new UnsupportedError(backendName === GPU_BACKEND
    ? 'webgpu: values on the GPU must be read with `await tensor.data()`, got a synchronous reading'
    : `webgpu: a tensor on the GPU must be read with \`await tensor.data()\` and made anew to be used on ${backendName}, got a move by itself`);
}
