/** significant — a number with four significant digits, without trailing zeros: `1.882`, `0.0003`, `12,340`, `2.5e-7`. */
export function significant(value: number): string {
  const rounded = Number(value.toPrecision(4));
  if (rounded !== 0 && Math.abs(rounded) < 1e-4) return rounded.toExponential();
  return Math.abs(rounded) >= 1e15 ? rounded.toExponential() : rounded.toLocaleString('en', { maximumFractionDigits: 7 });
}

const UNITS = ['bytes', 'KiB', 'MiB', 'GiB', 'TiB'];

/** byteSize — `3.4 MiB`. */
export function byteSize(bytes: number): string {
  const power = Math.min(UNITS.length - 1, Math.max(0, Math.floor(Math.log2(Math.max(1, bytes)) / 10)));
  return `${power === 0 ? bytes : (bytes / 1024 ** power).toFixed(1)} ${UNITS[power]}`;
}

/** fourDigits — a loss, with zeros at the end kept so that two of them compare at a glance: `1.820`. */
export function fourDigits(value: number): string {
  return Math.abs(value) >= 1e-3 && Math.abs(value) < 1e4 ? value.toPrecision(4) : significant(value);
}

/** counted — `1 step`, `2,000 steps`. */
export const counted = (count: number, noun: string): string => `${count.toLocaleString('en')} ${noun}${count === 1 ? '' : 's'}`;
