import type { GpuKernelCall } from '@evenkeel/core-tensor';
import type { TensorInfo } from '@tensorflow/tfjs-core';

/** Invocations of a workgroup that sums, and the most shares that a sum is cut into: each invocation of the next program takes one. */
export const INVOCATIONS = 256;
/** Half-way sums: as many add as many each. */
const ROOT = 16;

/**
 * ADD_UP — for `declarations`: `addUp(value, localIndex)`, the sum of what all invocations of the workgroup bring, in a fixed order. Two
 * steps of 16 rather than a tree of 8, because waiting costs more than adding.
 */
export const ADD_UP = /* wgsl */ `
var<workgroup> parts: array<f32, ${INVOCATIONS}>;
fn addUp(value: f32, localIndex: u32) -> f32 {
  parts[localIndex] = value;
  workgroupBarrier();
  var total = value;
  if (localIndex < ${ROOT}u) {
    for (var k = ${ROOT}u; k < ${INVOCATIONS}u; k += ${ROOT}u) { total += parts[localIndex + k]; }
    parts[localIndex] = total;
  }
  workgroupBarrier();
  total = 0.0;
  for (var k = 0u; k < ${ROOT}u; k++) { total += parts[k]; }
  workgroupBarrier();
  return total;
}`;

/** given — an input that the op always has. */
export function given({ inputs }: GpuKernelCall, name: string): TensorInfo {
  return inputs[name] as TensorInfo;
}

/** shareCount — how many workgroups share a sum over `units`, of which one takes `each` at a time. */
export const shareCount = (units: number, each: number): number => Math.max(1, Math.min(INVOCATIONS, Math.ceil(units / each)));
