export { REPRODUCTIONS } from './registry.ts';
export { measureSeed, runReproduction, type MeasuredSeed, type RunOptions } from './runReproduction.ts';
export { CALIBRATION_SEEDS, type Album, type Chart, type Check, type Measurement, type Numbers, type Reproduction } from './reproduction.ts';
export type { Verdict } from './verdict.ts';
export type { Lab } from './lab.ts';
export { renderVerdict } from './renderVerdict.ts';
export { verdictText, type VerdictLine } from './verdictText.ts';
export { verdictsMarkdown, type Kept } from './verdictsMarkdown.ts';
