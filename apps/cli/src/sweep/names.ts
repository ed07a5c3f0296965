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

/** kindsFound — the kinds of a run's findings in words: `loss spike, entropy collapse`. */
export function kindsFound({ findings }: Pick<RunResult, 'findings'>): string {
  return [...new Set(findings.map(({ kind }) => kind.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`)))].join(', ');
}
