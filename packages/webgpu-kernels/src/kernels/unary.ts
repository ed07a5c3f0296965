import { gpuProgram, type GpuKernel, type GpuKernelCall, type GpuProgram } from '@evenkeel/core-tensor';
import {
  Abs, ClipByValue, Cos, Erf, Exp, IsFinite, IsInf, IsNan, Log, Neg, Reciprocal, Relu, Rsqrt, Sigmoid, Sin, Sqrt, Square, Step, Tanh, type TensorInfo,
} from '@tensorflow/tfjs-core';
import { elementwise, INVOCATIONS } from './elementwise.ts';
import { onStock } from './stock.ts';
import { WGSL_ERF, WGSL_IS_NAN, WGSL_SINE, WGSL_TANH } from './wgsl.ts';

/** An elementwise function: an expression of `x: vec4f` (or vec4i) in WGSL, which may use u.p and u.q. */
type UnaryOp = { readonly f32: string; readonly i32?: string; readonly functions?: string; readonly result?: 'bool'; readonly attrs?: readonly string[] };

/** What remains of the bits of ±∞ and NaN. */
const MAGNITUDE = '(bitcast<vec4u>(x) & vec4u(0x7fffffffu))';
const INFINITY = 'vec4u(0x7f800000u)';

const UNARY: Readonly<Record<string, UnaryOp>> = {
  [Neg]: { f32: '-x', i32: '-x' },
  [Abs]: { f32: 'abs(x)', i32: 'abs(x)' },
  [Square]: { f32: 'x * x', i32: 'x * x' },
  [Sqrt]: { f32: 'sqrt(x)' },
  [Rsqrt]: { f32: '1.0 / sqrt(x)' },
  [Reciprocal]: { f32: '1.0 / x' },
  [Exp]: { f32: 'exp(x)' },
  [Log]: { f32: 'log(x)' },
  [Sigmoid]: { f32: '1.0 / (1.0 + exp(-x))' },
  [Tanh]: { f32: 'hyperbolicTangent(x)', functions: WGSL_TANH },
  [Erf]: { f32: 'errorFunction(x)', functions: WGSL_ERF },
  [Sin]: { f32: 'sine(x, 0)', functions: WGSL_SINE },
  [Cos]: { f32: 'sine(x, 1)', functions: WGSL_SINE },
  [Relu]: { f32: 'select(x, vec4f(0.0), x < vec4f(0.0))', i32: 'max(x, vec4i(0))' },
  [Step]: { f32: 'select(select(vec4f(u.p), vec4f(1.0), x > vec4f(0.0)), x, isNan(x))', attrs: ['alpha'] },
  [ClipByValue]: { f32: 'select(min(max(x, vec4f(u.p)), vec4f(u.q)), x, isNan(x))', attrs: ['clipValueMin', 'clipValueMax'] },
  [IsNan]: { f32: 'vec4i(isNan(x))', result: 'bool' },
  [IsInf]: { f32: `vec4i(${MAGNITUDE} == ${INFINITY})`, result: 'bool' },
  [IsFinite]: { f32: `vec4i(${MAGNITUDE} < ${INFINITY})`, result: 'bool' },
};

/** Elementwise functions of one float32 tensor, some also of int32. Others go to tfjs' own kernels. */
export const unaryKernels: readonly GpuKernel[] = Object.entries(UNARY).map(([name, op]) => ({ name, run: unary(name, op) }));

/** One vector of four per invocation. */
function unaryProgram(name: string, expression: string, from: 'f' | 'i', to: 'f' | 'i', functions = ''): GpuProgram {
  return gpuProgram({
    name, bindings: { x: `read vec4${from}`, y: `write vec4${to}` }, uniforms: { vectors: 'u32', p: 'f32', q: 'f32' }, workgroupSize: INVOCATIONS,
    declarations: `${WGSL_IS_NAN(4)}\n${functions}\nfn operation(x: vec4${from}) -> vec4${to} { return ${expression}; }`,
    main: 'if (index < u.vectors) { y[index] = operation(x[index]); }',
  });
}

function unary(name: string, { f32, i32, functions, result, attrs: [p, q] = [] }: UnaryOp): GpuKernel['run'] {
  const onFloats = unaryProgram(name, f32, 'f', result === 'bool' ? 'i' : 'f', functions);
  const onIntegers = i32 === undefined ? undefined : unaryProgram(name, i32, 'i', 'i');
  return (call: GpuKernelCall): TensorInfo => {
    const { inputs: { x }, attrs } = call;
    const program = x?.dtype === 'float32' ? onFloats : x?.dtype === 'int32' ? onIntegers : undefined;
    if (x === undefined || program === undefined) return onStock(name, call);
    const parameter = (of: string | undefined): number => (of === undefined ? 0 : attrs[of] as number);
    return elementwise(call, program, x, result ?? x.dtype, { p: parameter(p), q: parameter(q) });
  };
}
