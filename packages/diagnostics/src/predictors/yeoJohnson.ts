import { ConfigError } from '@evenkeel/core-tensor';
import { nelderMead } from '../fitting/nelderMead.ts';

/**
 * yeoJohnson — a power transform of numbers of either sign that makes them more alike: ((1 + y)^λ − 1)/λ for y ≥ 0, the same of −y with
 * 2 − λ below. λ = 1 changes nothing, λ = 0 is ln(1 + y) for y ≥ 0.
 *
 * Source: Yeo & Johnson 2000, doi:10.1093/biomet/87.4.954.
 */
export const yeoJohnson = (y: number, lambda: number): number => (y >= 0 ? boxCox(y, lambda) : -boxCox(-y, 2 - lambda));

/** yeoJohnsonInverse — the number whose transform is `z`; NaN where there is none. */
export const yeoJohnsonInverse = (z: number, lambda: number): number => (z >= 0 ? inverseBoxCox(z, lambda) : -inverseBoxCox(-z, 2 - lambda));

/**
 * fitYeoJohnson — the λ under which the transformed values are most likely to be normal.
 *
 * @throws ConfigError  if there are not two different values.
 */
export function fitYeoJohnson(values: readonly number[]): number {
  if (new Set(values).size < 2) throw new ConfigError(`fitYeoJohnson: values must have at least 2 different ones, got ${values.length} alike`);
  const jacobian = values.reduce((sum, y) => sum + Math.sign(y) * Math.log1p(Math.abs(y)), 0);
  const cost = ([lambda]: readonly number[]): number => {
    const z = values.map((y) => yeoJohnson(y, lambda as number));
    const mean = z.reduce((sum, each) => sum + each, 0) / z.length;
    const variance = z.reduce((sum, each) => sum + (each - mean) ** 2, 0) / z.length;
    return (z.length / 2) * Math.log(variance) - ((lambda as number) - 1) * jacobian; // minus the logarithm of the likelihood
  };
  return nelderMead(cost, [1], { step: 0.5, tolerance: 1e-8 }).x[0] as number;
}

const boxCox = (y: number, lambda: number): number => (Math.abs(lambda) < 1e-12 ? Math.log1p(y) : Math.expm1(lambda * Math.log1p(y)) / lambda);

const inverseBoxCox = (z: number, lambda: number): number => (Math.abs(lambda) < 1e-12 ? Math.expm1(z) : Math.expm1(Math.log1p(lambda * z) / lambda));
