import { _FusedMatMul, Add, backend_util, BatchMatMul, Elu, LeakyRelu, Prelu, Relu, Relu6, Sigmoid, util, type TensorInfo } from '@tensorflow/tfjs-core';
import { gemm, type GemmActivation } from '../gemm.ts';
import type { WasmBackend } from '../wasmBackend.ts';
import { onCpu, runKernelHere, type KernelCall, type WasmKernel } from './kernel.ts';

/** BatchMatMul and _FusedMatMul of float32 tensors, with broadcast batch axes, bias and activation. */
export const matMulKernels: readonly WasmKernel[] = [
  { name: BatchMatMul, run: batchMatMul },
  { name: _FusedMatMul, run: fusedMatMul },
];

type Epilogue = { bias?: TensorInfo; activation?: GemmActivation };

function batchMatMul(call: KernelCall, epilogue: Epilogue = {}): TensorInfo {
  const { inputs: { a, b }, attrs, backend } = call;
  const transposeA = attrs.transposeA === true;
  const transposeB = attrs.transposeB === true;
  if (!backend.holds(a, 'float32') || !backend.holds(b, 'float32')) return onCpu(BatchMatMul, call);
  const [aRows, aColumns] = lastTwo(a.shape);
  const [bRows, bColumns] = lastTwo(b.shape);
  const k = transposeA ? aRows : aColumns;
  if (k !== (transposeB ? bColumns : bRows)) return onCpu(BatchMatMul, call); // throws, with tfjs' own message
  const m = transposeA ? aColumns : aRows;
  const n = transposeB ? bRows : bColumns;
  const batchShape = backend_util.assertAndGetBroadcastShape(a.shape.slice(0, -2), b.shape.slice(0, -2));
  const out = backend.allocate([...batchShape, m, n]);
  const batch = util.sizeFromShape(batchShape);
  const bias = epilogue.bias === undefined ? 0 : backend.pointer(epilogue.bias);
  const shared = { n, k, transposeA, transposeB, bias, activation: epilogue.activation };
  if (!transposeA && batch > 1 && util.sizeFromShape(b.shape) === k * n) {
    // One B for all: the batch is just more rows.
    gemm(backend, { ...shared, m: batch * m, a: [backend.pointer(a)], b: [backend.pointer(b)], c: [backend.pointer(out)] });
  } else {
    const pointers = (info: TensorInfo, rows: number, columns: number) => entryPointers(backend, info, batchShape, rows * columns);
    gemm(backend, { ...shared, m, a: pointers(a, m, k), b: pointers(b, k, n), c: pointers(out, m, n) });
  }
  return out;
}

/** entryPointers — the address of the matrix each entry of a broadcast batch reads. */
function entryPointers(backend: WasmBackend, info: TensorInfo, batchShape: readonly number[], matrix: number): number[] {
  const base = backend.pointer(info);
  const own = info.shape.slice(0, -2);
  const strides: number[] = [];
  for (let axis = own.length - 1, stride = 1; axis >= 0; axis--) {
    strides[axis] = own[axis] === 1 ? 0 : stride;
    stride *= own[axis] as number;
  }
  return Array.from({ length: util.sizeFromShape(batchShape as number[]) }, (_, entry) => {
    let index = 0;
    let rest = entry;
    for (let axis = batchShape.length - 1; axis >= 0; axis--) {
      const size = batchShape[axis] as number;
      index += (rest % size) * (strides[axis - batchShape.length + own.length] ?? 0);
      rest = Math.floor(rest / size);
    }
    return base + index * matrix * 4;
  });
}

const FUSED: Readonly<Record<string, GemmActivation>> = { linear: 'linear', relu: 'relu', relu6: 'relu6' };
const UNFUSED: Readonly<Record<string, string>> = { relu: Relu, relu6: Relu6, elu: Elu, sigmoid: Sigmoid, leakyrelu: LeakyRelu };

function fusedMatMul({ inputs, attrs, backend }: KernelCall): TensorInfo {
  const { a, b, bias, preluActivationWeights } = inputs;
  const product: KernelCall = { inputs: { a, b }, attrs, backend };
  const name = (attrs.activation as string | undefined) ?? 'linear';
  const columns = b === undefined ? 0 : lastTwo(b.shape)[attrs.transposeB === true ? 0 : 1];
  const plainBias = bias === undefined || (backend.holds(bias, 'float32') && isRow(bias.shape, columns));
  if (plainBias && name in FUSED && backend.holds(a, 'float32') && backend.holds(b, 'float32')) {
    return batchMatMul(product, { bias, activation: FUSED[name] });
  }
  return unfused(product, name, bias, preluActivationWeights);
}

/** unfused — product, bias and activation one after the other, for biases of other shapes and rarer activations. */
function unfused(product: KernelCall, activation: string, bias?: TensorInfo, prelu?: TensorInfo): TensorInfo {
  const { backend, attrs } = product;
  let current = batchMatMul(product);
  const then = (kernel: string, inputs: KernelCall['inputs']): void => {
    const next = runKernelHere(kernel, { inputs, attrs: { alpha: attrs.leakyreluAlpha ?? 0 }, backend });
    backend.disposeIntermediateTensorInfo(current);
    current = next;
  };
  if (bias !== undefined) then(Add, { a: current, b: bias });
  if (activation === 'prelu') then(Prelu, { x: current, alpha: prelu });
  else if (activation !== 'linear') then(UNFUSED[activation] as string, { x: current });
  return current;
}

function isRow(shape: readonly number[], columns: number): boolean {
  return shape.at(-1) === columns && util.sizeFromShape(shape as number[]) === columns;
}

function lastTwo(shape: readonly number[]): [number, number] {
  return [shape[shape.length - 2] as number, shape[shape.length - 1] as number];
}
