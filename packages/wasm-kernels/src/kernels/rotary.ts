import type { TensorInfo } from '@tensorflow/tfjs-core';
import { floats, rowChunks, type KernelCall, type WasmKernel } from './kernel.ts';

/** `evenkeel/rotary`: x `b t h d`, attrs table (Float32Array of rows × rotaryDim: cosines, then sines), rotaryDim, interleaved, inverse. */
export const rotaryKernels: readonly WasmKernel[] = [{ name: 'evenkeel/rotary', run: rotary }];

function rotary(call: KernelCall): TensorInfo {
  const { attrs, backend } = call;
  const table = attrs.table as unknown as Float32Array;
  const rotaryDim = attrs.rotaryDim as number;
  const { x } = floats(call, 'rotary', 'x');
  const [batchSize, seqLen, heads, channels] = x.shape as [number, number, number, number];
  const y = backend.allocate(x.shape);
  const rows = table.length / rotaryDim;
  const angles = backend.temporary(backend.makeTensorInfo([rows, rotaryDim], 'float32', table));
  const cut = rowChunks(batchSize * seqLen, heads * channels);
  if (heads * channels > 0) {
    backend.run(
      'rotary', cut.chunks, backend.pointer(x), backend.pointer(y), backend.pointer(angles), batchSize * seqLen, heads, channels, rotaryDim, rows,
      attrs.interleaved === true ? 1 : 0, attrs.inverse === true ? -1 : 1, cut.perChunk);
  }
  return y;
}
