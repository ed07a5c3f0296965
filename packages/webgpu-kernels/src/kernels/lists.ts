import { UnsupportedError, type GpuKernelCall } from '@evenkeel/core-tensor';
import type { DataId, TensorInfo } from '@tensorflow/tfjs-core';
import { sizeOf } from './kernel.ts';

/** Vectors of four that one workgroup of a kernel over lists handles. */
export const VECTORS_PER_GROUP = 256;

/** listOf — the input list `name` of `fn`: float32 tensors `name.0`, `name.1`, …, as many and as large as those of `like` if it is given. */
export function listOf({ inputs }: GpuKernelCall, fn: string, name: string, like?: readonly TensorInfo[]): TensorInfo[] {
  const list: TensorInfo[] = [];
  for (let info = inputs[`${name}.0`]; info !== undefined; info = inputs[`${name}.${list.length}`]) {
    if (info.dtype !== 'float32') throw new UnsupportedError(`${fn}: ${name}.${list.length} must have dtype float32, got ${info.dtype}`);
    list.push(info);
  }
  if (like === undefined) return list;
  if (list.length !== like.length) throw new UnsupportedError(`${fn}: ${name} must have ${like.length} tensors, got ${list.length}`);
  list.forEach((info, i) => {
    const size = sizeOf(like[i] as TensorInfo);
    if (sizeOf(info) !== size) throw new UnsupportedError(`${fn}: ${name}.${i} must have ${size} elements, got ${sizeOf(info)}`);
  });
  return list;
}

/** writableListOf — `listOf` for tensors whose values the kernel writes over: no other tensor may share them. */
export function writableListOf(call: GpuKernelCall, fn: string, name: string, like?: readonly TensorInfo[]): TensorInfo[] {
  const list = listOf(call, fn, name, like);
  const { refCount } = call.backend as unknown as { refCount(dataId: DataId): number };
  list.forEach(({ dataId }, i) => {
    const shares = refCount.call(call.backend, dataId);
    if (shares !== 1) throw new UnsupportedError(`${fn}: ${name}.${i} must have values of its own, got values that ${shares} tensors share`);
  });
  return list;
}

/** numbersOf — an optional input `name.0` with one number per tensor of `list`. */
export function numbersOf(call: GpuKernelCall, fn: string, name: string, list: readonly TensorInfo[]): TensorInfo | undefined {
  const [info] = listOf(call, fn, name);
  if (info !== undefined && sizeOf(info) !== list.length) throw new UnsupportedError(`${fn}: ${name}.0 must have ${list.length} elements, got ${sizeOf(info)}`);
  return info;
}

/** Tensors of one launch: with more, software devices compile longer than the launches that are saved take. */
const MOST_TENSORS = 8;

/** tensorsPerLaunch — how many tensors a launch can take that binds `each` of them, and `shared` others. */
export const tensorsPerLaunch = ({ backend }: GpuKernelCall, each: number, shared = 0): number =>
  Math.max(1, Math.min(MOST_TENSORS, Math.floor((backend.limits.maxStorageBuffersPerShaderStage - shared) / each)));

/** vectorsOf — the vectors of four that a tensor has, the last one perhaps in part. */
export const vectorsOf = (x: TensorInfo): number => Math.ceil(sizeOf(x) / 4);

/**
 * WITHOUT_DENORMALS — WGSL: moments below 2⁻¹²⁶ as 0: without a gradient they would stay there, and arithmetic on them is slow on some
 * devices.
 */
export const WITHOUT_DENORMALS = /* wgsl */ `fn withoutDenormals(x: vec4f) -> vec4f {
      return select(x, vec4f(0.0), (bitcast<vec4u>(x) & vec4u(0x7f800000u)) == vec4u(0u));
    }`;

/** Part — the tensors of one launch: their places in the lists, and for each the workgroup that is the first after its own. */
export type Part = { readonly places: readonly number[]; readonly ends: readonly number[]; readonly groups: number };

/**
 * partsOf — the cut of lists into launches of at most `perLaunch` tensors each; empty tensors are left out. Workgroup g of a
 * launch belongs to the first tensor whose end is above g.
 */
export function partsOf(list: readonly TensorInfo[], perLaunch: number, vectorsPerGroup = VECTORS_PER_GROUP): Part[] {
  return groupsOf(list.map((info) => Math.ceil(sizeOf(info) / (4 * vectorsPerGroup))), perLaunch);
}

/** groupsOf — `partsOf` for tensors of so many workgroups each; those of none are left out. */
export function groupsOf(counts: readonly number[], perLaunch: number): Part[] {
  const parts: Part[] = [];
  let places: number[] = [];
  let ends: number[] = [];
  let groups = 0;
  const close = (): void => {
    if (places.length > 0) parts.push({ places, ends, groups });
    [places, ends, groups] = [[], [], 0];
  };
  counts.forEach((count, i) => {
    if (count === 0) return;
    places.push(i);
    ends.push(groups += count);
    if (places.length === perLaunch) close();
  });
  close();
  return parts;
}

/** eachTensor — WGSL that runs `body(i)` for the tensor that the workgroup belongs to, with `first`, the number of its first workgroup. */
export function eachTensor(count: number, body: (i: number) => string): string {
  const branches = Array.from({ length: count }, (_, i) => /* wgsl */ `if (groupIndex < u.end${i}) {
      let first = ${i === 0 ? '0u' : `u.end${i - 1}`};
      ${body(i)}
    }`);
  return branches.join(' else ');
}

/** numbered — `make(i)` of the tensors of a launch in one record: bindings, uniforms or tensors. */
export function numbered<T>(count: number, make: (i: number) => Readonly<Record<string, T>>): Record<string, T> {
  const all: Record<string, T> = {};
  for (let i = 0; i < count; i++) Object.assign(all, make(i));
  return all;
}
