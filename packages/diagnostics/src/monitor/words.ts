/** inWords — a number for people: three digits, no exponent where it can be avoided. */
export const inWords = (value: number): string => (Number.isInteger(value) && Math.abs(value) < 1e6 ? String(value) : String(Number(value.toPrecision(3))));

/** inPercent — a share for people. */
export const inPercent = (share: number): string => `${inWords(Number((100 * share).toPrecision(2)))} %`;

/** listed — `a`, `a and b`, `a, b and c`. */
export const listed = (items: readonly (string | number)[]): string => (items.length < 2 ? items.join('') : `${items.slice(0, -1).join(', ')} and ${items.at(-1)}`);
