import type { DataType, Tensor } from '@tensorflow/tfjs-core';
import { ConfigError, ShapeError } from './errors.ts';

type Shaped = { readonly shape: readonly number[]; readonly dtype?: string };

/** describeShape — `[2, 3]`, as it stands in every error message. */
export function describeShape(shape: readonly (number | string | null)[]): string {
  return `[${shape.map((size) => size ?? '…').join(', ')}]`;
}

/** checkRank — throws ShapeError unless `x` has `rank` axes. */
export function checkRank(fn: string, arg: string, x: Shaped, rank: number): void {
  if (x.shape.length !== rank) {
    throw new ShapeError(`${fn}: ${arg} must have rank ${rank}, got shape ${describeShape(x.shape)}`);
  }
}

/** checkMinRank — throws ShapeError unless `x` has at least `rank` axes. */
export function checkMinRank(fn: string, arg: string, x: Shaped, rank: number): void {
  if (x.shape.length < rank) {
    throw new ShapeError(`${fn}: ${arg} must have rank ≥ ${rank}, got shape ${describeShape(x.shape)}`);
  }
}

/** checkShape — throws ShapeError unless `x.shape` equals `shape`; `null` stands for any size. */
export function checkShape(fn: string, arg: string, x: Shaped, shape: readonly (number | null)[]): void {
  const same = x.shape.length === shape.length && shape.every((size, axis) => size === null || size === x.shape[axis]);
  if (!same) {
    throw new ShapeError(`${fn}: ${arg} must have shape ${describeShape(shape)}, got ${describeShape(x.shape)}`);
  }
}

/** checkLastDim — throws ShapeError unless the last axis of `x` has `size` elements. */
export function checkLastDim(fn: string, arg: string, x: Shaped, size: number): void {
  if (x.shape.length === 0 || x.shape[x.shape.length - 1] !== size) {
    throw new ShapeError(`${fn}: ${arg} must have shape [..., ${size}], got ${describeShape(x.shape)}`);
  }
}

/** checkDtype — throws ShapeError unless `x.dtype` is `dtype`. */
export function checkDtype(fn: string, arg: string, x: Tensor, dtype: DataType): void {
  if (x.dtype !== dtype) throw new ShapeError(`${fn}: ${arg} must have dtype ${dtype}, got ${x.dtype}`);
}

/** checkPositive — throws ConfigError unless `value` is a finite number > 0. */
export function checkPositive(fn: string, arg: string, value: number): void {
  if (!(Number.isFinite(value) && value > 0)) {
    throw new ConfigError(`${fn}: ${arg} must be a positive number, got ${String(value)}`);
  }
}

/** checkRange — throws ConfigError unless `min ≤ value ≤ max`. */
export function checkRange(fn: string, arg: string, value: number, min: number, max: number): void {
  if (!(typeof value === 'number' && value >= min && value <= max)) {
    throw new ConfigError(`${fn}: ${arg} must be between ${min} and ${max}, got ${String(value)}`);
  }
}

/** checkProbability — throws ConfigError unless `0 ≤ value < 1`. */
export function checkProbability(fn: string, arg: string, value: number): void {
  if (!(typeof value === 'number' && value >= 0 && value < 1)) {
    throw new ConfigError(`${fn}: ${arg} must be in [0, 1), got ${String(value)}`);
  }
}

/** checkInteger — throws ConfigError unless `value` is an integer ≥ `min` (default 1). */
export function checkInteger(fn: string, arg: string, value: number, min = 1): void {
  if (!Number.isSafeInteger(value) || value < min) {
    throw new ConfigError(`${fn}: ${arg} must be an integer ≥ ${min}, got ${String(value)}`);
  }
}

/** checkDivisible — throws ConfigError unless `value` is a multiple of `divisor`. */
export function checkDivisible(fn: string, arg: string, value: number, divisorName: string, divisor: number): void {
  if (value % divisor !== 0) {
    throw new ConfigError(`${fn}: ${arg} must be divisible by ${divisorName}, got ${value} and ${divisor}`);
  }
}

/** checkBoolean — throws ConfigError unless `value` is true or false. */
export function checkBoolean(fn: string, arg: string, value: unknown): asserts value is boolean {
  if (typeof value !== 'boolean') throw new ConfigError(`${fn}: ${arg} must be true or false, got ${describeValue(value)}`);
}

/** checkFunction — throws ConfigError unless `value` is a function; `help` says what one looks like. */
export function checkFunction(fn: string, arg: string, value: unknown, help: string): void {
  if (typeof value !== 'function') throw new ConfigError(`${fn}: ${arg} must be a function such as ${help}, got ${value === null ? 'null' : typeof value}`);
}

/** checkNames — throws ConfigError unless `options` is an object all of whose names are among `known`, but for undefined ones; a misspelt option would do nothing. */
export function checkNames(fn: string, options: object, known: readonly string[], arg = 'options'): void {
  if (typeof options !== 'object' || options === null || Array.isArray(options)) {
    throw new ConfigError(`${fn}: ${arg} must be an object of ${known.join(', ')}, got ${describeValue(options)}`);
  }
  const unknown = Object.keys(options).filter((name) => !known.includes(name) && (options as Readonly<Record<string, unknown>>)[name] !== undefined);
  if (unknown.length > 0) throw new ConfigError(`${fn}: ${arg} must be among ${known.join(', ')}, got ${unknown.join(', ')}`);
}

/** describeValue — what was given instead of what should have been: `"text"`, `an array`, `null`. */
export function describeValue(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value);
  if (Array.isArray(value)) return 'an array';
  if (typeof value === 'function') return 'a function';
  return typeof value === 'object' && value !== null ? 'an object' : String(value);
}

/** checkOneOf — throws ConfigError unless `value` is one of `allowed`. */
export function checkOneOf<T extends string>(fn: string, arg: string, value: string, allowed: readonly T[]): asserts value is T {
  if (!(allowed as readonly string[]).includes(value)) {
    throw new ConfigError(`${fn}: ${arg} must be one of ${allowed.join(', ')}, got ${String(value)}`);
  }
}
