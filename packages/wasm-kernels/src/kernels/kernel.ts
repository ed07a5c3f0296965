import { getKernel, type NamedAttrMap, type NamedTensorInfoMap, type TensorInfo } from '@tensorflow/tfjs-core';
import { BACKEND_NAME, type WasmBackend } from '../wasmBackend.ts';

/** KernelCall — what a kernel is given: named inputs, attributes, and the backend to allocate and run on. */
export type KernelCall = { readonly inputs: NamedTensorInfoMap; readonly attrs: NamedAttrMap; readonly backend: WasmBackend };

/** WasmKernel — a tfjs kernel name and what runs for it on this backend. */
export type WasmKernel = { readonly name: string; readonly run: (call: KernelCall) => TensorInfo | TensorInfo[] };

/** ELEMENTS_PER_CHUNK — how elementwise kernels are cut (CHUNK in assembly/binary.ts and its like). */
export const ELEMENTS_PER_CHUNK = 16384;

/** chunksFor — the number of chunks of an elementwise kernel over `size` elements. */
export function chunksFor(size: number): number {
  return Math.ceil(size / ELEMENTS_PER_CHUNK);
}

/** onCpu — runs tfjs' own CPU kernel of that name on this backend's tensors: for inputs a kernel here does not handle. */
export function onCpu(name: string, { inputs, attrs, backend }: KernelCall): TensorInfo {
  return runRegistered('cpu', name, { inputs, attrs, backend });
}

/** runKernelHere — runs the kernel this backend has under that name. */
export function runKernelHere(name: string, call: KernelCall): TensorInfo {
  return runRegistered(BACKEND_NAME, name, call);
}

function runRegistered(backendName: string, name: string, { inputs, attrs, backend }: KernelCall): TensorInfo {
  const kernel = getKernel(name, backendName);
  if (kernel === undefined) throw new Error(`runRegistered: name must be a kernel of ${backendName}, got ${name}`);
  return kernel.kernelFunc({ inputs, attrs, backend }) as TensorInfo;
}
