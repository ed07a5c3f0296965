import { util, type TensorInfo } from '@tensorflow/tfjs-core';
import { floats, optionalFloats, rowChunks, type KernelCall, type WasmKernel } from './kernel.ts';

/** `evenkeel/layerNorm`, `evenkeel/rmsNorm`, both of a sum (`evenkeel/addLayerNorm`, `evenkeel/addRmsNorm`), and the gradients of all, over the last axis. */
export const normKernels: readonly WasmKernel[] = [
  { name: 'evenkeel/layerNorm', run: (call) => norm('layerNorm', call, true) },
  { name: 'evenkeel/rmsNorm', run: (call) => norm('rmsNorm', call, false) },
  { name: 'evenkeel/addLayerNorm', run: (call) => addNorm('addLayerNorm', call, true) },
  { name: 'evenkeel/addRmsNorm', run: (call) => addNorm('addRmsNorm', call, false) },
  { name: 'evenkeel/layerNormGrad', run: (call) => normGrad('layerNormGrad', call, true) },
  { name: 'evenkeel/rmsNormGrad', run: (call) => normGrad('rmsNormGrad', call, false) },
];

function norm(name: string, call: KernelCall, centred: boolean): TensorInfo {
  return run(name, call, centred, floats(call, name, 'x').x);
}

/** y and the sum that it is the norm of. */
function addNorm(name: string, call: KernelCall, centred: boolean): TensorInfo[] {
  const { x, residual } = floats(call, name, 'x', 'residual');
  const sum = call.backend.allocate(x.shape);
  return [run(name, call, centred, x, call.backend.pointer(residual), call.backend.pointer(sum)), sum];
}

function run(name: string, call: KernelCall, centred: boolean, x: TensorInfo, residual = 0, sum = 0): TensorInfo {
  const { attrs: { eps }, backend } = call;
  const { weight, bias } = optionalFloats(call, name, 'weight', 'bias');
  const { rows, channels } = sizesOf(x);
  const y = backend.allocate(x.shape);
  const cut = rowChunks(rows, channels);
  backend.run('norm', cut.chunks, backend.pointer(x), backend.pointerOrZero(weight), backend.pointerOrZero(bias), backend.pointer(y), rows, channels, eps as number, centred ? 1 : 0, cut.perChunk, residual, sum);
  return y;
}

/** dx, dweight and for LayerNorm dbias; the rows' shares of the latter two are added chunk by chunk. With `dsum`, dx is that of a norm of a sum. */
function normGrad(name: string, call: KernelCall, centred: boolean): TensorInfo[] {
  const { attrs: { eps }, backend } = call;
  const { x, dy } = floats(call, name, 'x', 'dy');
  const { weight, dsum } = optionalFloats(call, name, 'weight', 'dsum');
  const { rows, channels } = sizesOf(x);
  const dx = backend.allocate(x.shape);
  const cut = rowChunks(rows, channels);
  const shares = backend.intermediate(cut.chunks * 2 * channels * 4);
  backend.run('normGrad', cut.chunks, backend.pointer(x), backend.pointerOrZero(weight), backend.pointer(dy), backend.pointer(dx), shares.pointer, rows, channels, eps as number, centred ? 1 : 0, cut.perChunk, backend.pointerOrZero(dsum));
  const both = backend.intermediate(2 * channels * 4);
  backend.run('sumColumns', Math.ceil((2 * channels) / 1024), shares.pointer, both.pointer, 1, cut.chunks, 2 * channels, 1, 1024);
  const [dweight, dbias] = [0, 1].map((half) => {
    const part = backend.allocate([channels]);
    backend.run('copyBlocks', 1, both.pointer + half * channels * 4, backend.pointer(part), 1, channels * 4, 0, 0, 1);
    return part;
  }) as [TensorInfo, TensorInfo];
  backend.release(shares);
  backend.release(both);
  if (centred) return [dx, dweight, dbias];
  backend.disposeIntermediateTensorInfo(dbias);
  return [dx, dweight];
}

function sizesOf(x: TensorInfo): { rows: number; channels: number } {
  return { rows: util.sizeFromShape(x.shape.slice(0, -1)), channels: x.shape[x.shape.length - 1] as number };
}
