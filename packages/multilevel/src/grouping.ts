/** GroupingKind — which units are merged: `stacked` i with i + n, i + 2n, …; `adjacent` neighbours, 2i with 2i + 1. */
export type GroupingKind = 'stacked' | 'adjacent';

/** Grouping — a partition of `groupOf.length` large units into `size` groups, one per small unit: `groupOf[i]` is the group of unit i. */
export type Grouping = { readonly size: number; readonly groupOf: readonly number[] };

/**
 * grouping — the partition of `large` units into `small` groups.
 *
 *     stacked:  group(i) = i mod small        adjacent:  group(i) = ⌊i · small / large⌋
 *
 * Both are of `unit` neighbours at a time, which stay together: the channels of a head. Groups are of one size if `small` divides `large`.
 *
 * @param unit  divides `large` and `small`; default 1.
 */
export function grouping(large: number, small: number, kind: GroupingKind, unit = 1): Grouping {
  const [many, few] = [large / unit, small / unit];
  const groupOfUnit = (i: number): number => (kind === 'stacked' ? i % few : Math.floor((i * few) / many));
  return { size: small, groupOf: Array.from({ length: large }, (_, i) => groupOfUnit(Math.floor(i / unit)) * unit + (i % unit)) };
}

/** joined — groupings of the pieces of an axis, one behind the other. */
export function joined(pieces: readonly Grouping[]): Grouping {
  return pieces.reduce((before, { size, groupOf }) => ({
    size: before.size + size, groupOf: [...before.groupOf, ...groupOf.map((group) => before.size + group)],
  }));
}

/** membersOf — the large units of each group, in rising order. */
export function membersOf({ size, groupOf }: Grouping): number[][] {
  const members: number[][] = Array.from({ length: size }, () => []);
  groupOf.forEach((group, i) => (members[group] as number[]).push(i));
  return members;
}
