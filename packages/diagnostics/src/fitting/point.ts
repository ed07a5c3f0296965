import { checkInteger, ConfigError } from '@evenkeel/core-tensor';

/** Point — one measurement: a loss or a ratio `y` at a step, a size or a learning rate `x`. */
export type Point = { readonly x: number; readonly y: number };

type Rule = {
  /** Fewest different `x`, so that the curve is determined. */
  readonly atLeast: number;
  /** Whether x must be above 0 or at least 0; y likewise. Default any finite number. */
  readonly x?: 'positive' | 'nonNegative';
  readonly y?: 'positive';
};

/** checkPoints — throws ConfigError unless the points can be fitted. */
export function checkPoints(fn: string, points: readonly Point[], { atLeast, x, y }: Rule): void {
  points.forEach((point, i) => {
    checkNumber(fn, `points[${i}].x`, point.x, x);
    checkNumber(fn, `points[${i}].y`, point.y, y);
  });
  checkInteger(fn, 'points of different x', new Set(points.map((point) => point.x)).size, atLeast);
}

function checkNumber(fn: string, arg: string, value: number, rule: Rule['x']): void {
  if (!Number.isFinite(value)) throw new ConfigError(`${fn}: ${arg} must be a finite number, got ${String(value)}`);
  if (rule === 'positive' && value <= 0) throw new ConfigError(`${fn}: ${arg} must be above 0, got ${value}`);
  if (rule === 'nonNegative' && value < 0) throw new ConfigError(`${fn}: ${arg} must be at least 0, got ${value}`);
}
