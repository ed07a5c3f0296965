import { util, type TensorInfo } from '@tensorflow/tfjs-core';
import { chunksFor, floats, type KernelCall, type WasmKernel } from './kernel.ts';

/** `evenkeel/glu`: gate, value → f(gate) · value, attrs activation; and `evenkeel/gluGrad`. */
export const gluKernels: readonly WasmKernel[] = [
  { name: 'evenkeel/glu', run: glu },
  { name: 'evenkeel/gluGrad', run: gluGrad },
];

/** In the order of the cases in assembly/glu.ts. */
const GATES: readonly unknown[] = ['sigmoid', 'relu', 'gelu', 'geluTanh', 'silu'];

function glu(call: KernelCall): TensorInfo {
  const { attrs: { activation }, backend } = call;
  const { gate, value } = floats(call, 'glu', 'gate', 'value');
  const y = backend.allocate(gate.shape);
  const size = util.sizeFromShape(gate.shape);
  backend.run('glu', chunksFor(size), backend.pointer(gate), backend.pointer(value), backend.pointer(y), size, GATES.indexOf(activation));
  return y;
}

function gluGrad(call: KernelCall): TensorInfo[] {
  const { attrs: { activation }, backend } = call;
  const { gate, value, dy } = floats(call, 'gluGrad', 'gate', 'value', 'dy');
  const [dgate, dvalue] = [backend.allocate(gate.shape), backend.allocate(gate.shape)];
  const size = util.sizeFromShape(gate.shape);
  backend.run(
    'gluGrad', chunksFor(size), backend.pointer(gate), backend.pointer(value), backend.pointer(dy), backend.pointer(dgate), backend.pointer(dvalue),
    size, GATES.indexOf(activation));
  return [dgate, dvalue];
}
