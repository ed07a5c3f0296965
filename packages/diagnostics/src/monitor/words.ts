/** inWords — a number for people: three digits, four or more where they are whole, and no exponent where it can be avoided. */
export function inWords(value: number): string {
  if (Math.abs(value) >= 1e7) return value.toExponential(2).replace('e+', 'e');
  return String(Math.abs(value) >= 1000 ? Math.round(value) : Number(value.toPrecision(3)));
}

/** inPercent — a share for people. */
export const inPercent = (share: number): string => `${inWords(Number((100 * share).toPrecision(2)))} %`;

/** listed — `a`, `a and b`, `a, b and c`. */
export const listed = (items: readonly (string | number)[]): string => (items.length < 2 ? items.join('') : `${items.slice(0, -1).join(', ')} and ${items.at(-1)}`);
