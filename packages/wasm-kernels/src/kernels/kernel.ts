import { ConfigError, UnsupportedError } from '@evenkeel/core-tensor';
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

/** rowChunks — how kernels over rows are cut: whole rows, about as many elements as an elementwise chunk. */
export function rowChunks(rows: number, columns: number): { chunks: number; perChunk: number } {
  const perChunk = Math.max(1, Math.floor(ELEMENTS_PER_CHUNK / Math.max(columns, 1)));
  return { chunks: Math.ceil(rows / perChunk), perChunk };
}

/** floats — the named inputs of `fn`, which must be float32 tensors. */
export function floats<K extends string>(call: KernelCall, fn: string, ...names: K[]): Record<K, TensorInfo> {
  return inputsOf(call, fn, 'float32', names);
}

/** optionalFloats — `floats` for inputs that may be absent. */
export function optionalFloats<K extends string>(call: KernelCall, fn: string, ...names: K[]): Partial<Record<K, TensorInfo>> {
  return inputsOf(call, fn, 'float32', names.filter((name) => call.inputs[name] !== undefined));
}

/** integers — the named inputs of `fn`, which must be int32 tensors. */
export function integers<K extends string>(call: KernelCall, fn: string, ...names: K[]): Record<K, TensorInfo> {
  return inputsOf(call, fn, 'int32', names);
}

/** optionalIntegers — `integers` for inputs that may be absent. */
export function optionalIntegers<K extends string>(call: KernelCall, fn: string, ...names: K[]): Partial<Record<K, TensorInfo>> {
  return inputsOf(call, fn, 'int32', names.filter((name) => call.inputs[name] !== undefined));
}

/** A tensor whose values are stored under another dtype (see `holds`) is read from a converted copy, freed with the call. */
function inputsOf<K extends string>({ inputs, backend }: KernelCall, fn: string, dtype: 'float32' | 'int32', names: readonly K[]): Record<K, TensorInfo> {
  const read = {} as Record<K, TensorInfo>;
  for (const name of names) {
    const info = inputs[name];
    if (info?.dtype !== dtype) throw new UnsupportedError(`${fn}: ${name} must have dtype ${dtype}, got ${info?.dtype}`);
    read[name] = backend.holds(info, dtype) ? info : backend.temporary(backend.converted(info, dtype));
  }
  return read;
}

/** checkIndices — throws ConfigError unless all values are in [0, size) or equal to `ignored`: kernels do not check addresses. */
export function checkIndices(backend: WasmBackend, fn: string, name: string, indices: TensorInfo, size: number, ignored?: number): void {
  const values = (backend.data.get(indices.dataId as object) as { values: Int32Array }).values;
  for (let i = 0; i < values.length; i++) {
    const value = values[i] as number;
    if ((value >= 0 && value < size) || value === ignored) continue;
    throw new ConfigError(`${fn}: ${name} must be from 0 to ${size - 1}, got ${value}`);
  }
}

/** onCpu — runs tfjs' own CPU kernel of that name on this backend's tensors: for inputs a kernel here does not handle. */
export function onCpu(name: string, { inputs, attrs, backend }: KernelCall): TensorInfo {
  return runRegistered('cpu', name, { inputs, attrs, backend });
}

/** listOnCpu — `onCpu` for kernels with several outputs. */
export function listOnCpu(name: string, call: KernelCall): TensorInfo[] {
  return onCpu(name, call) as unknown as TensorInfo[];
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
