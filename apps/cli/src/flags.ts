import { UsageError } from './errors.ts';

/** Bounds — the interval that a number must lie in; `above` and `below` are excluded, `min` and `max` included. */
export type Bounds = { readonly min?: number; readonly max?: number; readonly above?: number; readonly below?: number };

/** wholeNumber — a parser for flags that take an integer within bounds. */
export function wholeNumber(flag: string, bounds: Bounds = { min: 1 }): (text: string) => number {
  return (text) => parsed(flag, 'a whole number', text, bounds, Number.isSafeInteger);
}

/** realNumber — a parser for flags that take a finite number within bounds. */
export function realNumber(flag: string, bounds: Bounds = {}): (text: string) => number {
  return (text) => parsed(flag, 'a number', text, bounds, Number.isFinite);
}

/** oneOf — a parser for flags that take one of a few words; a near miss is named. */
export function oneOf<T extends string>(flag: string, allowed: readonly T[]): (text: string) => T {
  return (text) => {
    const found = allowed.find((word) => word === text);
    if (found !== undefined) return found;
    throw new UsageError(`${flag} must be one of ${allowed.join(', ')}, got ${shown(text)}`);
  };
}

/** nonEmpty — a parser for flags that take a path or another text that cannot be empty. */
export function nonEmpty(flag: string, what: string): (text: string) => string {
  return (text) => {
    if (text === '') throw new UsageError(`${flag} must be ${what}, got an empty text`);
    return text;
  };
}

/** nonEmptyList — a parser for flags that take several texts, such as paths. */
export function nonEmptyList(flag: string, what = 'a path'): (text: string, earlier?: readonly string[]) => readonly string[] {
  return (text, earlier = []) => [...earlier, nonEmpty(flag, what)(text)];
}

/** wholeNumbers — a parser for flags that take a comma-separated list of integers. */
export function wholeNumbers(flag: string, bounds: Bounds = { min: 1 }): (text: string) => number[] {
  return (text) => text.split(',').map((item) => parsed(flag, 'whole numbers with commas between', item.trim(), bounds, Number.isSafeInteger));
}

/** realNumbers — a parser for flags that take a comma-separated list of numbers that differ; in rising order. */
export function realNumbers(flag: string, bounds: Bounds = {}): (text: string) => number[] {
  return (text) => risingOf(flag, text.split(',').map((item) => parsed(flag, 'numbers with commas between', item.trim(), bounds, Number.isFinite)));
}

/** differingNumbers — the same for integers. */
export function differingNumbers(flag: string, bounds: Bounds = { min: 1 }): (text: string) => number[] {
  return (text) => risingOf(flag, wholeNumbers(flag, bounds)(text));
}

function risingOf(flag: string, values: readonly number[]): number[] {
  const twice = values.find((value, i) => values.indexOf(value) !== i);
  if (twice !== undefined) throw new UsageError(`${flag} must be numbers that differ, got ${twice} twice`);
  return values.toSorted((a, b) => a - b);
}

/** flagOf — `numHeads` to `--num-heads`. */
export function flagOf(name: string): string {
  return `--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
}

function parsed(flag: string, what: string, text: string, bounds: Bounds, accepts: (value: number) => boolean): number {
  const value = text.trim() === '' ? NaN : Number(text);
  const { min = -Infinity, max = Infinity, above = -Infinity, below = Infinity } = bounds;
  const inside = value >= min && value <= max && (value > above || above === -Infinity) && (value < below || below === Infinity);
  if (accepts(value) && inside) return value;
  throw new UsageError(`${flag} must be ${what}${describe(bounds)}, got ${shown(text)}`);
}

function describe({ min, max, above, below }: Bounds): string {
  const limits = [
    min === undefined ? '' : `≥ ${min}`, above === undefined ? '' : `> ${above}`,
    max === undefined ? '' : `≤ ${max}`, below === undefined ? '' : `< ${below}`,
  ].filter((limit) => limit !== '');
  return limits.length === 0 ? '' : ` ${limits.join(' and ')}`;
}

const shown = (text: string): string => (text === '' ? 'an empty text' : text.length > 60 ? `${text.slice(0, 59)}…` : text);
