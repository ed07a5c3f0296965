import { backend_util, GatherV2, ScatterNd, util, type TensorInfo } from '@tensorflow/tfjs-core';
import type { WasmBackend } from '../wasmBackend.ts';
import { onCpu, rowChunks, type KernelCall, type WasmKernel } from './kernel.ts';

/** GatherV2 of whole slices and its gradient, ScatterNd by one index. Others, and indices out of range, go to the CPU backend, which says so. */
export const gatherKernels: readonly WasmKernel[] = [
  { name: GatherV2, run: gather },
  { name: ScatterNd, run: scatter },
];

/** Columns that one thread sums over all indices. */
const COLUMNS = 64;

function gather(call: KernelCall): TensorInfo {
  const { inputs: { x, indices }, attrs, backend } = call;
  const fits = backend.holds(x, 'float32') && backend.holds(indices, 'int32') && !attrs.batchDims;
  if (!fits) return onCpu(GatherV2, call);
  const axis = util.parseAxisParam(attrs.axis as number, x.shape)[0] as number;
  const length = x.shape[axis] as number;
  if (!areWithin(backend, indices, length)) return onCpu(GatherV2, call);
  const [outer, inner] = [util.sizeFromShape(x.shape.slice(0, axis)), util.sizeFromShape(x.shape.slice(axis + 1))];
  const count = util.sizeFromShape(indices.shape);
  const y = backend.allocate([...x.shape.slice(0, axis), ...indices.shape, ...x.shape.slice(axis + 1)]);
  const [from, ids, to] = [backend.pointer(x), backend.pointer(indices), backend.pointer(y)];
  const cut = rowChunks(count, inner);
  for (let block = 0; block < outer && inner > 0; block++) {
    backend.run('embedding', cut.chunks, from + 4 * block * length * inner, ids, to + 4 * block * count * inner, count, inner, cut.perChunk);
  }
  return y;
}

/** Slices with the same index are added, in their order. */
function scatter(call: KernelCall): TensorInfo {
  const { inputs: { indices, updates }, attrs, backend } = call;
  if (!backend.holds(updates, 'float32') || !backend.holds(indices, 'int32')) return onCpu(ScatterNd, call);
  const shape = attrs.shape as number[];
  const { sliceRank, numUpdates, sliceSize, outputSize } = backend_util.calculateShapes(updates as never, indices as never, shape);
  const length = shape[0] as number;
  if (sliceRank !== 1 || outputSize === 0 || !areWithin(backend, indices, length)) return onCpu(ScatterNd, call);
  const y = backend.allocate(shape);
  backend.run('embeddingGrad', Math.ceil(sliceSize / COLUMNS), backend.pointer(indices), backend.pointer(updates), backend.pointer(y), numUpdates, sliceSize, length, COLUMNS);
  return y;
}

function areWithin(backend: WasmBackend, indices: TensorInfo, length: number): boolean {
  const { values } = backend.data.get(indices.dataId as object) as { values: Int32Array };
  return values.every((index) => index >= 0 && index < length);
}
