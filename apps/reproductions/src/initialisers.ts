import { normal, type Initialiser } from '@evenkeel/core-tensor';

/** byFanIn — N(0, 1/fanIn): at small widths what N(0, 0.02²) is, up to a factor of about 2, at those of the papers. */
export const byFanIn: Initialiser = (spec, seed) => normal({ std: 1 / Math.sqrt(spec.fanIn as number) })(spec, seed);
