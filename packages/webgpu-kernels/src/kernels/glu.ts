import { gpuProgram, memoised, type GpuKernel, type GpuKernelCall } from '@evenkeel/core-tensor';
import type { TensorInfo } from '@tensorflow/tfjs-core';
import { activationParts, type Activation } from '../wgsl/activations.ts';
import { FLAT_THREADS, launchFlat } from './flat.ts';
import { given, sizeOf } from './kernel.ts';

/** `evenkeel/glu`: gate, value → f(gate) · value, attrs activation; and `evenkeel/gluGrad`: gate, value, dy → [dgate, dvalue]. */
export const gluKernels: readonly GpuKernel[] = [
  { name: 'evenkeel/glu', run: glu },
  { name: 'evenkeel/gluGrad', run: gluGrad },
];

const forwardProgram = memoised((f: Activation) => gpuProgram({
  name: `glu of ${f}`, bindings: { gate: 'read vec4f', value: 'read vec4f', y: 'write vec4f' }, uniforms: { count: 'u32' }, workgroupSize: FLAT_THREADS,
  declarations: activationParts(f),
  main: 'if (index < u.count) { let x = gate[index]; y[index] = product(x, share(x)) * value[index]; }',
}));

const gradientProgram = memoised((f: Activation) => gpuProgram({
  name: `gluGrad of ${f}`,
  bindings: { gate: 'read vec4f', value: 'read vec4f', dy: 'read vec4f', dgate: 'write vec4f', dvalue: 'write vec4f' },
  uniforms: { count: 'u32' }, workgroupSize: FLAT_THREADS, declarations: activationParts(f),
  main: /* wgsl */ `
  if (index >= u.count) { return; }
  let x = gate[index];
  let p = share(x);
  dgate[index] = dy[index] * value[index] * slope(x, p);
  dvalue[index] = dy[index] * product(x, p);`,
}));

function glu(call: GpuKernelCall): TensorInfo {
  const [gate, value] = [given(call, 'gate'), given(call, 'value')];
  const y = call.backend.allocate(gate.shape);
  launchFlat(call.backend, forwardProgram(call.attrs.activation as Activation), sizeOf(gate), { gate, value, y });
  return y;
}

function gluGrad(call: GpuKernelCall): TensorInfo[] {
  const [gate, value, dy] = [given(call, 'gate'), given(call, 'value'), given(call, 'dy')];
  const [dgate, dvalue] = [call.backend.allocate(gate.shape), call.backend.allocate(gate.shape)];
  launchFlat(call.backend, gradientProgram(call.attrs.activation as Activation), sizeOf(gate), { gate, value, dy, dgate, dvalue });
  return [dgate, dvalue];
}
