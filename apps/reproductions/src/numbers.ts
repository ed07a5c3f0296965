/** meanOf — the arithmetic mean; NaN of nothing. */
export const meanOf = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;

/** numbered — values as points, the first at `from`. */
export const numbered = (values: readonly number[], from = 0): (readonly [x: number, y: number])[] => values.map((value, i) => [from + i, value] as const);

/** rankCorrelation — Spearman's ρ of two lists without ties: 1 where one orders as the other, −1 where it orders the other way. */
export function rankCorrelation(a: readonly number[], b: readonly number[]): number {
  const ranks = (values: readonly number[]): number[] => values.map((value) => values.filter((other) => other < value).length);
  const [ra, rb, count] = [ranks(a), ranks(b), a.length];
  return 1 - (6 * ra.reduce((sum, rank, i) => sum + (rank - (rb[i] as number)) ** 2, 0)) / (count * (count ** 2 - 1));
}
