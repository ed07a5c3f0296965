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

/** Part — the tensors of one launch: their places in the lists, and for each the workgroup that is the first after its own. */
export type Part = { readonly places: readonly number[]; readonly ends: readonly number[]; readonly groups: number };

/**
 * partsOf — the cut of lists into launches of at most `perLaunch` tensors each; empty tensors are left out. Workgroup g of a
 * launch belongs to the first tensor whose end is above g.
 */
export function partsOf(list: readonly TensorInfo[], perLaunch: number, vectorsPerGroup = VECTORS_PER_GROUP): Part[] {
  const parts: Part[] = [];
  let places: number[] = [];
  let ends: number[] = [];
  let groups = 0;
  const close = (): void => {
    if (places.length > 0) parts.push({ places, ends, groups });
    [places, ends, groups] = [[], [], 0];
  };
  list.forEach((info, i) => {
    const size = sizeOf(info);
    if (size === 0) return;
    places.push(i);
    ends.push(groups += Math.ceil(size / (4 * vectorsPerGroup)));
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
