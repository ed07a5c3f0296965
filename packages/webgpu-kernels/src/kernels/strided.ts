import { gpuProgram, memoised, type GpuBackend } from '@evenkeel/core-tensor';
import type { TensorInfo } from '@tensorflow/tfjs-core';

/** Axis — how long an axis is, and how far apart its elements are in each operand. */
export type Axis = { readonly size: number; readonly strides: readonly number[] };

/** MAX_AXES — the merged axes that a program of this folder can step through. */
export const MAX_AXES = 8;

/** isWord — whether each element of the tensor is one word on the device. */
export const isWord = (x: TensorInfo | undefined): x is TensorInfo => x?.dtype === 'float32' || x?.dtype === 'int32' || x?.dtype === 'bool';

/** stridesOf — of a row-major tensor. */
export function stridesOf(shape: readonly number[]): number[] {
  const strides: number[] = [];
  for (let axis = shape.length - 1, stride = 1; axis >= 0; axis--) {
    strides[axis] = stride;
    stride *= shape[axis] as number;
  }
  return strides;
}

/** mergeAxes — the same walk with as few axes as will do: those of one element left out, those that follow on from each other joined. */
export function mergeAxes(axes: readonly Axis[]): Axis[] {
  const merged: Axis[] = [];
  for (const axis of axes) {
    if (axis.size === 1) continue;
    const last = merged[merged.length - 1];
    const joins = last?.strides.every((stride, operand) => stride === axis.size * (axis.strides[operand] as number));
    if (last !== undefined && joins === true) merged[merged.length - 1] = { size: last.size * axis.size, strides: axis.strides };
    else merged.push(axis);
  }
  return merged;
}

/** broadcastAxes — the merged axes of a result with the strides of its two operands: 0 where one is repeated. */
export function broadcastAxes(shape: readonly number[], a: readonly number[], b: readonly number[]): Axis[] {
  const stridesIn = (operand: readonly number[]): number[] => {
    const strides = stridesOf(operand).map((stride, axis) => (operand[axis] === 1 ? 0 : stride));
    return [...Array.from({ length: shape.length - operand.length }, () => 0), ...strides];
  };
  const [ofA, ofB] = [stridesIn(a), stridesIn(b)];
  return mergeAxes(shape.map((size, axis) => ({ size, strides: [ofA[axis] as number, ofB[axis] as number] })));
}

/** axisUniforms — the declarations of `size0`, … and of one stride per operand, `a0`, …, for `axisValues`. */
export function axisUniforms(count: number, operands: readonly string[]): Record<string, 'i32'> {
  const uniforms: Record<string, 'i32'> = {};
  for (let axis = 0; axis < count; axis++) for (const name of ['size', ...operands]) uniforms[`${name}${axis}`] = 'i32';
  return uniforms;
}

/** axisValues — the values of `axisUniforms`. */
export function axisValues(axes: readonly Axis[], operands: readonly string[]): Record<string, number> {
  const values: Record<string, number> = {};
  axes.forEach(({ size, strides }, axis) => {
    values[`size${axis}`] = size;
    operands.forEach((name, operand) => { values[`${name}${axis}`] = strides[operand] as number; });
  });
  return values;
}

/** walk — WGSL that turns `rest`, a var with the number of an element of the axes, into a place of each operand: vars `atA`, … that exist. */
export function walk(count: number, operands: readonly (readonly [variable: string, strides: string])[]): string {
  const steps = Array.from({ length: count }, (_, i) => {
    const axis = count - 1 - i;
    const add = (along: string): string => operands.map(([variable, strides]) => `${variable} += ${along} * u.${strides}${axis};`).join(' ');
    if (axis === 0) return add('rest');
    return `{ let along = rest % u.size${axis}; rest /= u.size${axis}; ${add('along')} }`;
  });
  return steps.join('\n');
}

const COPIERS = 256;

/** Copies one element, of one word or four, per invocation; neighbours write neighbours where the last axis does. */
const copyProgram = memoised((count: number, element: 'i32' | 'vec4i') => gpuProgram({
  name: 'copyStrided', bindings: { x: `read ${element}`, y: `write ${element}` },
  uniforms: { count: 'u32', fromStart: 'i32', toStart: 'i32', ...axisUniforms(count, ['from', 'to']) },
  workgroupSize: COPIERS,
  main: /* wgsl */ `
    if (index >= u.count) { return; }
    var rest = i32(index);
    var atX = u.fromStart;
    var atY = u.toStart;
    ${walk(count, [['atX', 'from'], ['atY', 'to']])}
    y[atY] = x[atX];`,
}));

/**
 * copyStrided — copies elements from one pattern (first stride of each axis) to another (second stride), of any dtype that is one
 * word on the device. At most MAX_AXES axes after merging.
 */
export function copyStrided(backend: GpuBackend, x: TensorInfo, y: TensorInfo, axes: readonly Axis[], fromStart = 0, toStart = 0): void {
  let merged = mergeAxes(axes);
  const last = merged[merged.length - 1];
  const inFours = (n: number | undefined): boolean => n !== undefined && n % 4 === 0;
  const isWide = last !== undefined && inFours(last.size) && last.strides.every((stride) => stride === 1) && inFours(fromStart) && inFours(toStart)
    && merged.slice(0, -1).every(({ strides }) => strides.every(inFours));
  if (isWide) {
    merged = merged.map(({ size, strides }, axis) => (axis === merged.length - 1 ? { size: size / 4, strides } : { size, strides: strides.map((stride) => stride / 4) }));
    fromStart /= 4;
    toStart /= 4;
  }
  const count = merged.reduce((product, { size }) => product * size, 1);
  backend.dispatch(copyProgram(merged.length, isWide ? 'vec4i' : 'i32'), {
    tensors: { x, y }, uniforms: { count, fromStart, toStart, ...axisValues(merged, ['from', 'to']) }, groups: backend.spread(Math.ceil(count / COPIERS)),
  });
}
