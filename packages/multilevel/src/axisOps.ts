import { add, gather, mul, reshape, tensor1d, type Tensor } from '@tensorflow/tfjs-core';
import { membersOf, type Grouping } from './grouping.ts';

/** `values: n` as a tensor that broadcasts along `axis` of `x`. */
const along = (x: Tensor, axis: number, values: readonly number[]): Tensor =>
  reshape(tensor1d([...values]), x.shape.map((_, i) => (i === axis ? values.length : 1)));

const pick = (x: Tensor, axis: number, units: readonly number[]): Tensor => gather(x, tensor1d([...units], 'int32'), axis);

/** sumGroups — the sum over the members of each group along an axis: `… m …` to `… n …`. */
export function sumGroups(x: Tensor, axis: number, of: Grouping): Tensor {
  const members = membersOf(of);
  const largest = Math.max(...members.map((group) => group.length));
  const summands = Array.from({ length: largest }, (_, k) => {
    const picked = pick(x, axis, members.map((group) => group[k] ?? 0)); // … n …
    const isWhole = members.every((group) => k < group.length);
    return isWhole ? picked : mul(picked, along(x, axis, members.map((group) => (k < group.length ? 1 : 0))));
  });
  return summands.reduce((sum, each) => add(sum, each));
}

/** copyToGroups — each unit of an axis copied to the members of its group: `… n …` to `… m …`. */
export const copyToGroups = (x: Tensor, axis: number, { groupOf }: Grouping): Tensor => pick(x, axis, groupOf);

/** overSizes — each unit of an axis of n divided by the size of its group. Exact where that is a power of two. */
export const overSizes = (x: Tensor, axis: number, of: Grouping): Tensor => divided(x, axis, membersOf(of).map((group) => group.length));

/** overSizesOfMembers — each unit of an axis of m divided by the size of the group that it is in. */
export function overSizesOfMembers(x: Tensor, axis: number, of: Grouping): Tensor {
  const members = membersOf(of);
  return divided(x, axis, of.groupOf.map((group) => (members[group] as number[]).length));
}

/** Products with reciprocals: a GPU's division need not be exact even by two. */
function divided(x: Tensor, axis: number, sizes: readonly number[]): Tensor {
  const [first] = sizes;
  return sizes.every((size) => size === first) ? mul(x, 1 / (first as number)) : mul(x, along(x, axis, sizes.map((size) => 1 / size)));
}
