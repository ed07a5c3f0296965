import { gpuProgram, type GpuKernel, type GpuKernelCall, type GpuProgram } from '@evenkeel/core-tensor';
import { Cast, type DataType, type TensorInfo } from '@tensorflow/tfjs-core';
import { elementwise, INVOCATIONS } from './elementwise.ts';
import { onStock } from './stock.ts';
import { WGSL_IS_NAN } from './wgsl.ts';

/**
 * Cast between float32, int32 and bool. The values are always converted, where tfjs answers int32 → float32 with the same data
 * under a new dtype, which only its own shaders understand. Others go to tfjs' kernel.
 */
export const castKernels: readonly GpuKernel[] = [{ name: Cast, run: cast }];

/** The integer of a float32 as JavaScript has it: without its fraction, modulo 2³², 0 for infinities and NaN. WGSL's own stops at the ends. */
const TO_INTEGER = /* wgsl */ `
  fn toInteger(x: vec4f) -> vec4i {
    let bits = bitcast<vec4u>(x);
    let shift = vec4i((bits >> vec4u(23u)) & vec4u(255u)) - 150; // x is ±mantissa · 2^shift
    let mantissa = (bits & vec4u(0x7fffffu)) | vec4u(0x800000u);
    let left = select(vec4u(0u), mantissa << vec4u(clamp(shift, vec4i(0), vec4i(31))), shift < vec4i(32));
    let right = select(vec4u(0u), mantissa >> vec4u(clamp(-shift, vec4i(0), vec4i(31))), shift > vec4i(-24));
    let size = bitcast<vec4i>(select(right, left, shift >= vec4i(0)));
    return select(size, -size, (bits >> vec4u(31u)) == vec4u(1u));
  }`;

function program(from: 'f' | 'i', to: 'f' | 'i', value: string): GpuProgram {
  return gpuProgram({
    name: Cast, bindings: { x: `read vec4${from}`, y: `write vec4${to}` }, uniforms: { vectors: 'u32' }, workgroupSize: INVOCATIONS, declarations: TO_INTEGER + WGSL_IS_NAN(4),
    main: `if (index < u.vectors) { let a = x[index]; y[index] = ${value}; }`,
  });
}

const integersToFloats = program('i', 'f', 'vec4f(a)');
const sameIntegers = program('i', 'i', 'a');
const integersToTruths = program('i', 'i', 'vec4i(a != vec4i(0))');
const floatsToIntegers = program('f', 'i', 'toInteger(a)');
const floatsToTruths = program('f', 'i', 'vec4i((a != vec4f(0.0)) | isNan(a))');

const PROGRAMS: Readonly<Record<string, GpuProgram | undefined>> = {
  'int32 float32': integersToFloats, 'bool float32': integersToFloats, 'bool int32': sameIntegers,
  'int32 bool': integersToTruths, 'float32 int32': floatsToIntegers, 'float32 bool': floatsToTruths,
};

/** castProgram — of `x`, `y` and `u.vectors` (see `elementwise`); undefined unless the dtypes are two different ones of float32, int32 and bool. */
export const castProgram = (from: DataType, to: DataType): GpuProgram | undefined => PROGRAMS[`${from} ${to}`];

function cast(call: GpuKernelCall): TensorInfo {
  const { inputs: { x }, attrs, backend } = call;
  const dtype = attrs['dtype'] as DataType;
  if (x !== undefined && x.dtype === dtype) return backend.reshaped(x, x.shape);
  const found = x && castProgram(x.dtype, dtype);
  return found === undefined ? onStock(Cast, call) : elementwise(call, found, x as TensorInfo, dtype);
}
