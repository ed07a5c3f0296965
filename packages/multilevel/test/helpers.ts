import { dispose, type Tensor, type TensorContainer, type Variable } from '@tensorflow/tfjs-core';
import { treeEntries, treeMap, param, type Params, type ParamSpec, type Tree } from '@evenkeel/core-tensor';
import { randomTensor } from '@evenkeel/testing';

export const free = (...things: unknown[]): void => dispose(things as TensorContainer);

/** Parameters with values everywhere, also where a model would start with 0 or 1. */
export function randomParams(specs: Tree<ParamSpec>, { seed = 1, std = 0.3 } = {}): Params {
  let index = 0;
  return treeMap((spec) => param(() => randomTensor(spec.shape as never, { seed: 1000 * seed + index++, std, mean: spec.role === 'norm' ? 1 : 0 })), specs);
}

/** Values by path. */
export async function valuesOf(tree: Tree<Tensor | Variable>): Promise<Record<string, number[]>> {
  const entries = treeEntries<Tensor>(tree as Tree<Tensor>);
  return Object.fromEntries(await Promise.all(entries.map(async ([path, tensor]) => [path, Array.from(await tensor.data())] as const)));
}

export type Matrix = number[][];

/** F by its definition: row i holds 1/|group i| on the members of group i. `unit` neighbours stay together. */
export function averaging64(large: number, small: number, kind: 'stacked' | 'adjacent' = 'stacked', unit = 1): Matrix {
  const [many, few] = [large / unit, small / unit];
  const isMember = (i: number, j: number): boolean => {
    const [group, head] = [Math.floor(i / unit), Math.floor(j / unit)];
    const isOfGroup = kind === 'stacked' ? (head - group) % few === 0 : Math.floor((head * few) / many) === group;
    return isOfGroup && i % unit === j % unit;
  };
  return Array.from({ length: small }, (_, i) => {
    const row = Array.from({ length: large }, (__, j) => (isMember(i, j) ? 1 : 0));
    const members = row.reduce<number>((sum, each) => sum + each, 0);
    return row.map((each) => each / members);
  });
}

export const transposed = (a: Matrix): Matrix => a[0]!.map((_, j) => a.map((row) => row[j]!));

/** T = rownorm(Fᵀ). */
export const duplication64 = (averaging: Matrix): Matrix => transposed(averaging).map((row) => {
  const sum = row.reduce((total, each) => total + each, 0);
  return row.map((each) => each / sum);
});

export const product64 = (a: Matrix, b: Matrix): Matrix => a.map((row) => transposed(b).map((column) => row.reduce((sum, each, k) => sum + each * column[k]!, 0)));

export const identity64 = (n: number): Matrix => Array.from({ length: n }, (_, i) => Array.from({ length: n }, (__, j) => (i === j ? 1 : 0)));

/** `values` in rows of `columns`. */
export const rows = (values: readonly number[], columns: number): Matrix => Array.from({ length: values.length / columns }, (_, i) => values.slice(i * columns, (i + 1) * columns));

/** The block matrix with the given matrices on its diagonal. */
export function diagonal64(...blocks: Matrix[]): Matrix {
  const width = blocks.reduce((sum, block) => sum + block[0]!.length, 0);
  let offset = 0;
  return blocks.flatMap((block) => {
    const padded = block.map((row) => [...Array<number>(offset).fill(0), ...row, ...Array<number>(width - offset - row.length).fill(0)]);
    offset += block[0]!.length;
    return padded;
  });
}
