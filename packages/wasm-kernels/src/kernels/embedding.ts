import { util, type TensorInfo } from '@tensorflow/tfjs-core';
import { checkIndices, floats, integers, rowChunks, type KernelCall, type WasmKernel } from './kernel.ts';

/** `evenkeel/embedding`: rows of a table by index, and `evenkeel/embeddingGrad`. */
export const embeddingKernels: readonly WasmKernel[] = [
  { name: 'evenkeel/embedding', run: embedding },
  { name: 'evenkeel/embeddingGrad', run: embeddingGrad },
];

/** Columns that one thread sums over all ids. */
const COLUMNS = 64;

function embedding(call: KernelCall): TensorInfo {
  const { backend } = call;
  const { weight } = floats(call, 'embedding', 'weight');
  const { ids } = integers(call, 'embedding', 'ids');
  const [vocabSize, dim] = weight.shape as [number, number];
  checkIndices(backend, 'embedding', 'ids', ids, vocabSize);
  const y = backend.allocate([...ids.shape, dim]);
  const count = util.sizeFromShape(ids.shape);
  const cut = rowChunks(count, dim);
  backend.run('embedding', cut.chunks, backend.pointer(weight), backend.pointer(ids), backend.pointer(y), count, dim, cut.perChunk);
  return y;
}

function embeddingGrad(call: KernelCall): TensorInfo {
  const { attrs, backend } = call;
  const { dy } = floats(call, 'embeddingGrad', 'dy');
  const { ids } = integers(call, 'embeddingGrad', 'ids');
  const vocabSize = attrs.vocabSize as number;
  const dim = dy.shape[dy.shape.length - 1] as number;
  checkIndices(backend, 'embeddingGrad', 'ids', ids, vocabSize);
  const dweight = backend.allocate([vocabSize, dim]);
  const count = util.sizeFromShape(ids.shape);
  backend.run('embeddingGrad', Math.ceil(dim / COLUMNS), backend.pointer(ids), backend.pointer(dy), backend.pointer(dweight), count, dim, vocabSize, COLUMNS);
  return dweight;
}
