import { ConfigError } from '@evenkeel/core-tensor';
import type { AxisMap } from './axisMaps.ts';
import { membersOf } from './grouping.ts';

/**
 * spectralGrowth — by what the spectral norm of a weight grows when its units are copied: W = T W' F has that of W' times
 *
 *     √(copies of each output / copies of each input)
 *
 * @param axes  the maps of the weight.
 * @param path  of the scalar that holds the norm, for errors.
 * @throws ConfigError  if groups differ in size: then the norm depends on the weight's values.
 */
export function spectralGrowth(axes: readonly AxisMap[], fn: string, path: string): number {
  const copiesOf = (side: AxisMap['side']): number => axes.filter((map) => map.side === side).reduce((copies, { of }) => {
    const sizes = [...new Set(membersOf(of).map(({ length }) => length))].sort((a, b) => a - b);
    if (sizes.length > 1) throw new ConfigError(`${fn}: ${path} must be the spectral norm of a weight whose groups have one size, got groups of ${sizes.join(' and ')}. Choose sizes in proportion, or fold it into the weight.`);
    return copies * (sizes[0] as number);
  }, 1);
  return Math.sqrt(copiesOf('output') / copiesOf('input'));
}
