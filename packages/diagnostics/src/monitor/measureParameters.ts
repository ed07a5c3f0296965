import { treeEntries, type Monitor, type Reading } from '@evenkeel/core-tensor';
import type { Tensor, Tensor1D } from '@tensorflow/tfjs-core';
import { rootMeanSquares } from '../rootMeanSquares.ts';

type StepTensors = Parameters<NonNullable<Monitor['measure']>>[0];

/** RMS — the name under which all root mean squares are read as one tensor. */
export const RMS = 'parameters.rms';

/** What they are of, as it stands behind a parameter's name. */
const KINDS = ['rms', 'gradientRms', 'updateRms'] as const;

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

/** nameParameters — numbers as they are kept: each root mean square under its parameter's name, all of them to six digits. */
export function nameParameters(values: Reading['values'], paths: readonly string[]): Reading['values'] {
  const { [RMS]: rms = [], ...others } = values;
  const numberAt = (index: number): number[] => rms.slice(index, index + 1);
  const named = KINDS.flatMap((kind, k) => paths.map((path, i) => [`${path}.${kind}`, numberAt(k * paths.length + i)] as const));
  const all = [...Object.entries(others), ...(rms.length > 0 ? named : [])];
  return Object.fromEntries(all.map(([name, numbers]) => [name, numbers.map((number) => Number(number.toPrecision(6)))]));
}
