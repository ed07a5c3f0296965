import { util } from '@tensorflow/tfjs-core';
import type { WasmBackend } from '../wasmBackend.ts';
import { rowChunks } from './kernel.ts';

/** Axis — how long an axis is, and how far apart its elements are in each operand, in floats. */
export type Axis = { readonly size: number; readonly strides: readonly number[] };

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

/** rowsOf — axes as the kernels of assembly/strided.ts take them: rows over all but the last, and their description. */
export function rowsOf(axes: readonly Axis[]): { rows: number; inner: Axis; chunks: number; perChunk: number; described: number[] } {
  const outer = axes.slice(0, -1);
  const inner = axes[axes.length - 1] as Axis;
  const rows = outer.reduce((product, { size }) => product * size, 1);
  const described = [outer.length, ...outer.flatMap(({ size, strides }) => [size, ...strides])];
  return { rows, inner, ...rowChunks(rows, inner.size), described };
}

/** copyStrided — copies floats from one pattern (first stride of each axis) to another (second stride). */
export function copyStrided(backend: WasmBackend, from: number, to: number, axes: readonly Axis[]): void {
  if (axes.some(({ size }) => size === 0)) return;
  const merged = mergeAxes(axes);
  const last = merged[merged.length - 1];
  if (last?.strides[1] !== 1) merged.push({ size: 1, strides: [1, 1] });
  const { rows, inner, chunks, perChunk, described } = rowsOf(merged);
  backend.run('copyStrided', chunks, from, to, rows, inner.size, inner.strides[0] as number, perChunk, ...described);
}
