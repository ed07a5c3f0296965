import { gpuProgram, type GpuBackend, type GpuKernel, type GpuKernelCall } from '@evenkeel/core-tensor';
import { Fill, OnesLike, util, ZerosLike, type DataType, type TensorInfo } from '@tensorflow/tfjs-core';
import { INVOCATIONS, overVectors } from './elementwise.ts';
import { onStock } from './stock.ts';
import { isWord } from './strided.ts';

/** Kernels that write one value everywhere. Strings and complex numbers go to tfjs' own. */
export const fillKernels: readonly GpuKernel[] = [
  { name: ZerosLike, run: (call) => fillLike(ZerosLike, call, 0) },
  { name: OnesLike, run: (call) => fillLike(OnesLike, call, 1) },
  { name: Fill, run: fill },
];

const programOf = (element: 'f' | 'i') => gpuProgram({
  name: Fill, bindings: { y: `write vec4${element}` }, uniforms: { vectors: 'u32', value: `${element}32` }, workgroupSize: INVOCATIONS,
  main: `if (index < u.vectors) { y[index] = vec4${element}(u.value); }`,
});
const [floats, integers] = [programOf('f'), programOf('i')];

/** filled — a new tensor of one value. */
export function filled(backend: GpuBackend, shape: readonly number[], value: number, dtype: DataType = 'float32'): TensorInfo {
  const y = backend.allocate(shape, dtype);
  const { vectors, groups } = overVectors(backend, util.sizeFromShape(shape as number[]));
  backend.dispatch(dtype === 'float32' ? floats : integers, { tensors: { y }, uniforms: { vectors, value }, groups });
  return y;
}

function fillLike(name: string, call: GpuKernelCall, value: number): TensorInfo {
  const { x } = call.inputs;
  return isWord(x) ? filled(call.backend, x.shape, value, x.dtype) : onStock(name, call);
}

function fill(call: GpuKernelCall): TensorInfo {
  const { shape, value } = call.attrs as { shape: number[]; value: number | string };
  const dtype = (call.attrs['dtype'] as DataType | null | undefined) ?? util.inferDtype(value);
  return dtype === 'float32' || dtype === 'int32' || dtype === 'bool' ? filled(call.backend, shape, Number(value), dtype) : onStock(Fill, call);
}
