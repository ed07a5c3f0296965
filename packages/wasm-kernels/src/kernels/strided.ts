import { util } from '@tensorflow/tfjs-core';
import type { WasmBackend } from '../wasmBackend.ts';
import { ELEMENTS_PER_CHUNK, rowChunks } from './kernel.ts';

/** Axis — how long an axis is, and how far apart its elements are in each operand. */
export type Axis = { readonly size: number; readonly strides: readonly number[] };

/** MAX_AXES — as many merged axes as a kernel of assembly/strided.ts can step through, one for the cut of long rows left out. */
export const MAX_AXES = 16;

/** stridesOf — of a row-major tensor. */
export function stridesOf(shape: readonly number[]): number[] {
  return shape.map((_, axis) => util.sizeFromShape(shape.slice(axis + 1)));
}

/** mergeAxes — the same walk with as few axes as will do: those of one element left out, those that follow on from each other joined. */
export function mergeAxes(axes: readonly Axis[]): Axis[] {
  const merged: Axis[] = [];
  for (const axis of axes) {
    if (axis.size === 1) continue;
    const last = merged[merged.length - 1];
    const joins = last?.strides.every((stride, operand) => stride === axis.size * (axis.strides[operand] as number));
    if (last !== undefined && joins) merged[merged.length - 1] = { size: last.size * axis.size, strides: axis.strides };
    else merged.push(axis);
  }
  return merged;
}

/** broadcastAxes — the merged axes of a result with the strides of its two operands: 0 where one is repeated. */
export function broadcastAxes(shape: readonly number[], a: readonly number[], b: readonly number[]): Axis[] {
  const [ofA, ofB] = [a, b].map((operand) => {
    const strides = stridesOf(operand).map((stride, axis) => (operand[axis] === 1 ? 0 : stride));
    return [...Array.from({ length: shape.length - operand.length }, () => 0), ...strides];
  }) as [number[], number[]];
  return mergeAxes(shape.map((size, axis) => ({ size, strides: [ofA[axis] as number, ofB[axis] as number] })));
}

/** rowsOf — axes as the kernels of assembly/strided.ts take them: rows over all but the last, and their description. */
export function rowsOf(axes: readonly Axis[]): { rows: number; inner: Axis; chunks: number; perChunk: number; described: number[] } {
  const [inner = { size: 1, strides: [1, 1] }, ...outer] = cutLong(axes).reverse();
  const rows = outer.reduce((product, { size }) => product * size, 1);
  const described = [outer.length, ...outer.reverse().flatMap(({ size, strides }) => [size, ...strides])];
  return { rows, inner, ...rowChunks(rows, inner.size), described };
}

/** Rows longer than a chunk are cut where they can be, so that threads share them. */
function cutLong(axes: readonly Axis[]): Axis[] {
  const last = axes[axes.length - 1];
  if (last === undefined || last.size <= ELEMENTS_PER_CHUNK) return [...axes];
  const length = Math.min(last.size & -last.size, ELEMENTS_PER_CHUNK); // the largest power of two that divides it
  if (length < 256) return [...axes];
  return [...axes.slice(0, -1), { size: last.size / length, strides: last.strides.map((stride) => stride * length) }, { size: length, strides: last.strides }];
}

/** copyStrided — copies elements of 4 bytes, or 1, from one pattern (first stride of each axis) to another (second stride). */
export function copyStrided(backend: WasmBackend, from: number, to: number, axes: readonly Axis[], bytes: 1 | 4 = 4): void {
  if (axes.some(({ size }) => size === 0)) return;
  const merged = mergeAxes(axes);
  const [first, ...others] = merged;
  if (first !== undefined && merged.length >= MAX_AXES) {
    const [stepFrom, stepTo] = first.strides as [number, number];
    for (let i = 0; i < first.size; i++) copyStrided(backend, from + bytes * i * stepFrom, to + bytes * i * stepTo, others, bytes);
    return;
  }
  const last = merged[merged.length - 1];
  if (last?.strides[1] !== 1) merged.push({ size: 1, strides: [1, 1] });
  const { rows, inner, chunks, perChunk, described } = rowsOf(merged);
  backend.run('copyStrided', chunks, from, to, rows, inner.size, inner.strides[0] as number, perChunk, bytes === 1 ? 0 : 2, ...described);
}
