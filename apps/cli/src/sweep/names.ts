import type { RunResult } from './runResult.ts';

/** Size — a width and a depth of a sweep. */
export type Size = { readonly dim: number; readonly depth: number };

/** sizeName — `dim 32, depth 4`. */
export const sizeName = ({ dim, depth }: Size): string => `dim ${dim}, depth ${depth}`;

/** sizeNames — names of the sizes of a sweep that say no more than tells them apart. */
export function sizeNames(sizes: readonly Size[]): (size: Size) => string {
  const vary = (name: 'dim' | 'depth'): boolean => new Set(sizes.map((size) => size[name])).size > 1;
  const [dims, depths] = [vary('dim'), vary('depth')];
  if (dims === depths) return sizeName;
  return ({ dim, depth }) => (dims ? `dim ${dim}` : `depth ${depth}`);
}

/** rateName — a learning rate in at most five characters, if it can be: `0.003`, `3e-4`. */
export function rateName(rate: number): string {
  const [plain, short] = [String(rate), rate.toExponential().replace('e-0', 'e-').replace('e+0', 'e')];
  return plain.length <= 5 || plain.length <= short.length ? plain : short;
}

/** lossName — a loss to four digits. */
export const lossName = (loss: number): string => (loss < 1000 ? loss.toPrecision(4).slice(0, 5) : loss.toExponential(1));

type Found = Pick<RunResult, 'findings'>;

/** What a monitor finds, in words, and what they mean. `divergence` has others than a run that diverged, to NaN or infinity. */
const KINDS: Readonly<Record<string, readonly [words: string, meaning: string]>> = {
  lossSpike: ['loss spike', 'the loss jumped'],
  divergence: ['lasting rise', 'the loss rose well above its best and stayed there'],
  entropyCollapse: ['entropy collapse', 'a query of some head looks at hardly more than one key'],
  logitGrowth: ['logit growth', 'attention logits have passed 10,000, or will soon'],
  outputLogitDrift: ['output logit drift', 'the log-partition is far from 0'],
  vanishingUpdates: ['vanishing updates', 'gradients are so small that the optimizer hardly moves'],
  nonFinite: ['not finite', 'a value became NaN or infinite'],
};

/** kindsFound — the kinds of a run's findings in words: `loss spike, entropy collapse`. */
export const kindsFound = ({ findings }: Found): string => [...new Set(findings.map(({ kind }) => KINDS[kind]?.[0] ?? kind))].join(', ');

/** meaningsFound — what the kinds of all runs' findings mean. */
export function meaningsFound(runs: readonly Found[]): string {
  const kinds = new Set(runs.flatMap(({ findings }) => findings.map(({ kind }) => kind)));
  return Object.entries(KINDS).flatMap(([kind, [words, meaning]]) => (kinds.has(kind) ? [`${words}: ${meaning}`] : [])).join(' · ');
}
