import { treeEntries, type Monitor, type Reading } from '@evenkeel/core-tensor';
import type { Tensor, Tensor1D } from '@tensorflow/tfjs-core';
import { rootMeanSquares } from '../rootMeanSquares.ts';

type StepTensors = Parameters<NonNullable<Monitor['measure']>>[0];

/** RMS — the name under which all root mean squares are read as one tensor, and before which the parameters' names are put. */
export const RMS = 'rms';

/** measureParameters — root mean squares of all parameters, then of their gradients, then of their updates, in one tensor. */
export function measureParameters({ params, grads, updates }: StepTensors): { paths: string[]; rms: Tensor1D } {
  const entries = treeEntries<Tensor>(params);
  const paths = entries.map(([path]) => path);
  const leavesOf = (tree: typeof grads): Tensor[] => {
    const byPath = new Map(treeEntries(tree));
    return paths.map((path) => byPath.get(path) as Tensor);
  };
  return { paths, rms: rootMeanSquares([...entries.map(([, leaf]) => leaf), ...leavesOf(grads), ...leavesOf(updates)]) };
}

/** nameParameters — numbers as they are kept: those of a parameter under its name, all of them to six digits. */
export function nameParameters(values: Reading['values'], paths: readonly string[]): Reading['values'] {
  const { [RMS]: rms = [], ...others } = values;
  const named = paths.map((path, i) => [`${RMS}.${path}`, [0, 1, 2].map((kind) => rms[kind * paths.length + i] as number)] as const);
  const all = [...Object.entries(others), ...(rms.length > 0 ? named : [])];
  return Object.fromEntries(all.map(([name, numbers]) => [name, numbers.map((number) => Number(number.toPrecision(6)))]));
}
