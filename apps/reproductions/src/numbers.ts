/** meanOf — the arithmetic mean; NaN of nothing. */
export const meanOf = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;

/** numbered — values as points, the first at `from`. */
export const numbered = (values: readonly number[], from = 0): (readonly [x: number, y: number])[] => values.map((value, i) => [from + i, value] as const);
