import { Abs, Erf, Exp, Neg, Reciprocal, Relu, Rsqrt, Sigmoid, Sqrt, Square, Step, Tanh, util, type TensorInfo } from '@tensorflow/tfjs-core';
import { chunksFor, onCpu, type KernelCall, type WasmKernel } from './kernel.ts';

/** In the order of the cases in assembly/unary.ts. */
const UNARY = [Neg, Square, Sqrt, Rsqrt, Exp, Tanh, Sigmoid, Relu, Abs, Reciprocal, Erf] as const;
const STEP = UNARY.length;

/** Elementwise functions of one float32 tensor; other dtypes run on the CPU backend. */
export const unaryKernels: readonly WasmKernel[] = [
  ...UNARY.map((name, operation) => ({ name, run: (call: KernelCall) => unary(name, call, operation) })),
  { name: Step, run: (call) => unary(Step, call, STEP, call.attrs.alpha as number) },
];

function unary(name: string, call: KernelCall, operation: number, below = 0): TensorInfo {
  const { inputs: { x }, backend } = call;
  if (!backend.holds(x, 'float32')) return onCpu(name, call);
  const y = backend.allocate(x.shape);
  const size = util.sizeFromShape(x.shape);
  backend.run('unary', chunksFor(size), backend.pointer(x), backend.pointer(y), size, operation, below);
  return y;
}
