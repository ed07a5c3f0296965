import { util, type BackendValues, type DataId } from '@tensorflow/tfjs-core';
import type { BufferPool } from './bufferPool.ts';
import { resting } from './resting.ts';
import type { StockBackend } from './stockBackend.ts';

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
