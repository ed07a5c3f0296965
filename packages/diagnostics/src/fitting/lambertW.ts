import { checkRange } from '@evenkeel/core-tensor';

/**
 * lambertW — the principal branch of the inverse of w·eʷ.
 *
 *     lambertW(z) · exp(lambertW(z)) = z,   lambertW(z) ≥ −1
 *
 * @param z  at least −1/e; Infinity gives Infinity.
 * @throws ConfigError  if z is below −1/e or NaN.
 *
 * Source: Corless et al. 1996, doi:10.1007/BF02124750; Halley's iteration, from ln(1 + z) or from the series at −1/e.
 */
export function lambertW(z: number): number {
  checkRange('lambertW', 'z', z, -1 / Math.E, Infinity);
  if (z === Infinity || z === 0) return z;
  const p = Math.sqrt(Math.max(0, 2 * (Math.E * z + 1)));
  let w = z < 0 ? -1 + p - (p * p) / 3 : Math.log1p(z);
  for (let i = 0; i < 40; i++) {
    const exp = Math.exp(w);
    const error = w - z / exp; // (w·eʷ − z)/eʷ, which does not overflow
    const next = w - error / (w + 1 - ((w + 2) * error) / (2 * w + 2));
    if (!Number.isFinite(next) || Math.abs(next - w) <= 1e-16 * Math.abs(w)) break; // not finite: z is −1/e, where w + 1 is 0
    w = next;
  }
  return Math.max(w, -1);
}

/** lambertWOfExp — lambertW(eˡ), also where eˡ overflows: w + ln w = l. */
export function lambertWOfExp(l: number): number {
  if (l < 700) return lambertW(Math.exp(l));
  let w = l - Math.log(l);
  for (let i = 0; i < 20; i++) w -= (w + Math.log(w) - l) / (1 + 1 / w);
  return w;
}
