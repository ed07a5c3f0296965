import { gpuProgram, memoised, type GpuKernel, type GpuKernelCall } from '@evenkeel/core-tensor';
import type { TensorInfo } from '@tensorflow/tfjs-core';
import { activationParts, type Activation } from '../wgsl/activations.ts';
import { FLAT_THREADS, launchFlat } from './flat.ts';
import { given, sizeOf } from './kernel.ts';

/** `evenkeel/gelu`: x → y, attrs approximate: 'none' | 'tanh'; `evenkeel/silu`: x → y; and their gradients: x, dy → dx. */
export const activationKernels: readonly GpuKernel[] = [
  { name: 'evenkeel/gelu', run: (call) => activation(call, geluOf(call)) },
  { name: 'evenkeel/geluGrad', run: (call) => activationGrad(call, geluOf(call)) },
  { name: 'evenkeel/silu', run: (call) => activation(call, 'silu') },
  { name: 'evenkeel/siluGrad', run: (call) => activationGrad(call, 'silu') },
];

const geluOf = ({ attrs }: GpuKernelCall): Activation => (attrs.approximate === 'tanh' ? 'geluTanh' : 'gelu');

const forwardProgram = memoised((f: Activation) => gpuProgram({
  name: f, bindings: { x: 'read vec4f', y: 'write vec4f' }, uniforms: { count: 'u32' }, workgroupSize: FLAT_THREADS, declarations: activationParts(f),
  main: 'if (index < u.count) { let v = x[index]; y[index] = product(v, share(v)); }',
}));

const gradientProgram = memoised((f: Activation) => gpuProgram({
  name: `${f}Grad`, bindings: { x: 'read vec4f', dy: 'read vec4f', dx: 'write vec4f' }, uniforms: { count: 'u32' }, workgroupSize: FLAT_THREADS,
  declarations: activationParts(f),
  main: 'if (index < u.count) { let v = x[index]; dx[index] = dy[index] * slope(v, share(v)); }',
}));

function activation(call: GpuKernelCall, f: Activation): TensorInfo {
  const x = given(call, 'x');
  const y = call.backend.allocate(x.shape);
  launchFlat(call.backend, forwardProgram(f), sizeOf(x), { x, y });
  return y;
}

function activationGrad(call: GpuKernelCall, f: Activation): TensorInfo {
  const [x, dy] = [given(call, 'x'), given(call, 'dy')];
  const dx = call.backend.allocate(x.shape);
  launchFlat(call.backend, gradientProgram(f), sizeOf(x), { x, dy, dx });
  return dx;
}
