/** Optimizers against float64 oracles: the same start and gradients for both. */
import { tensor, type Variable } from '@tensorflow/tfjs-core';
import { param, treeMap, type GradientTransform, type OptimizerState, type Tree } from '@evenkeel/core-tensor';
import { expectClose, randomArray } from '@evenkeel/testing';
import { free, snapshot, step } from './helpers.ts';

export type Block = { readonly shape: number[]; readonly values: Float32Array };
export type Blocks = { readonly [path: string]: Block };
export type Values64 = Record<string, Float64Array>;

const sizeOf = (shape: readonly number[]): number => shape.reduce((product, length) => product * length, 1);

/** Blocks of odd sizes: matrices, a vector, a scalar. */
export const SHAPES: Record<string, number[]> = { matrix: [7, 13], wide: [3, 65], bias: [130], gain: [] };

export const blocks = (seed: number, shapes = SHAPES, std = 1): Blocks =>
  Object.fromEntries(Object.entries(shapes).map(([path, shape], i) => [path, { shape, values: randomArray(sizeOf(shape), { seed: 100 * seed + i, std }) }]));

export const variablesOf = (start: Blocks): Record<string, Variable> =>
  treeMap<string, Variable>((path) => param(() => tensor(start[path]!.values, start[path]!.shape, 'float32')), Object.fromEntries(Object.keys(start).map((path) => [path, path]))) as Record<string, Variable>;

export const tensorsOf = (values: Blocks) => Object.fromEntries(Object.entries(values).map(([path, block]) => [path, tensor(block.values, block.shape, 'float32')]));

/** run — steps with the given gradients; calls `look` with the state before it is freed. */
export async function run<S extends OptimizerState>(optimizer: GradientTransform<S>, start: Blocks, grads: readonly Blocks[], look?: (state: S) => unknown): Promise<Record<string, number[]>> {
  const params = variablesOf(start);
  const state = optimizer.init(params);
  for (const each of grads) {
    const tensors = tensorsOf(each);
    step(optimizer, tensors, state, params);
    free(tensors);
  }
  const values = await snapshot(params as Tree<unknown>) as Record<string, number[]>;
  await look?.(state);
  free(params, state);
  return values;
}

/** A step of one block: its new values; `memory` is the block's own and starts empty. */
export type Step64 = (block: { path: string; shape: number[]; p: Float64Array; g: Float64Array; memory: Record<string, Float64Array> }, at: number) => void;

/** run64 — the same in float64, block by block; `stepOf` changes `p` in place. */
export function run64(stepOf: Step64, start: Blocks, grads: readonly Blocks[]): Values64 {
  return Object.fromEntries(Object.entries(start).map(([path, { shape, values }]) => {
    const [p, memory] = [Float64Array.from(values), {}];
    grads.forEach((each, at) => stepOf({ path, shape, p, g: Float64Array.from(each[path]!.values), memory }, at));
    return [path, p];
  }));
}

/** expectSame — every block close to the oracle's: float32 rounding of a few steps on numbers around 1. */
export async function expectSame(actual: Record<string, number[]>, expected: Values64, { rtol = 3e-6, atol = 2e-6 } = {}): Promise<void> {
  for (const [path, values] of Object.entries(expected)) await expectClose(Float32Array.from([actual[path]!].flat()), values, { rtol, atol });
}

/** moment — the array `name` of a block's memory, zeros at first. */
export const moment = (memory: Record<string, Float64Array>, name: string, size: number): Float64Array => memory[name] ??= new Float64Array(size);

export const norm64 = (x: ArrayLike<number>): number => Math.sqrt(Array.from(x).reduce((sum, value) => sum + value * value, 0));
export const mean64 = (x: ArrayLike<number>): number => Array.from(x).reduce((sum, value) => sum + value, 0) / x.length;
export function variance64(x: ArrayLike<number>, freedom = x.length): number {
  const mean = mean64(x);
  return Array.from(x).reduce((sum, value) => sum + (value - mean) ** 2, 0) / freedom;
}
