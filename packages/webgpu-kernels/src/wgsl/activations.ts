import { WGSL_IS_NAN } from '../kernels/wgsl.ts';

/** Activations in parts, so that one and its derivative share the costly part: f(x) = product(x, share(x)), f'(x) = slope(x, share(x)). */

/** Activation — every f that these texts exist for. */
export type Activation = keyof typeof PARTS;

const SIGMOID = /* wgsl */ `
fn logistic(x: vec4f) -> vec4f { return 1.0 / (1.0 + exp(-x)); }`;

/**
 * Φ(−z√2) = ½·exp(−z²)·t·P(t) with t = 1/(1 + z/2): the form of Hastings, as in Abramowitz & Stegun 7.1.26, with nine
 * coefficients fitted to erfc(z)·exp(z²) on [0, 10] for least relative error (4.3e-8), as in the kernels for CPUs: Φ has an
 * absolute error below 1.7e-7, and a small relative one in the left tail too, where ½(1 + erf) would cancel. NaN stays NaN.
 */
const NORMAL = /* wgsl */ `
fn gauss(x: vec4f) -> vec4f { return exp(-0.5 * x * x); }
fn normalCdf(x: vec4f) -> vec4f {
  let t = 1.0 / (1.0 + 0.35355339059327373 * abs(x));
  var p = t * -0.05906902253627777 + 0.2845752537250519;
  p = t * p - 0.4872004985809326;
  p = t * p + 0.27806779742240906;
  p = t * p - 0.026626085862517357;
  p = t * p + 0.20268703997135162;
  p = t * p + 0.2431037276983261;
  p = t * p + 0.282375305891037;
  p = t * p + 0.28208643198013306;
  let tail = 0.5 * gauss(x) * t * p;
  return select(1.0 - tail, tail, x < vec4f(0.0));
}`;

/** Within ±20, beyond which sigmoid(2u) is 0 or 1 and x³ may overflow; NaN stays NaN. */
const BOUNDED = /* wgsl */ `
fn bounded(x: vec4f) -> vec4f { return select(select(x, vec4f(20.0), x > vec4f(20.0)), vec4f(-20.0), x < vec4f(-20.0)); }`;

const TIMES = 'fn product(x: vec4f, p: vec4f) -> vec4f { return x * p; }';

const PARTS = {
  sigmoid: /* wgsl */ `${SIGMOID}
fn share(x: vec4f) -> vec4f { return logistic(x); }
fn product(x: vec4f, p: vec4f) -> vec4f { return p; }
fn slope(x: vec4f, p: vec4f) -> vec4f { return p * (1.0 - p); }`,
  relu: /* wgsl */ `${WGSL_IS_NAN(4)}
fn share(x: vec4f) -> vec4f { return x; }
fn product(x: vec4f, p: vec4f) -> vec4f { return select(x, vec4f(0.0), x < vec4f(0.0)); }
fn slope(x: vec4f, p: vec4f) -> vec4f { return select(select(vec4f(0.0), vec4f(1.0), x > vec4f(0.0)), x, isNan(x)); }`,
  gelu: /* wgsl */ `${NORMAL}
fn share(x: vec4f) -> vec4f { return normalCdf(x); }
${TIMES}
fn slope(x: vec4f, p: vec4f) -> vec4f { return p + x * 0.3989422804014327 * gauss(x); }`,
  geluTanh: /* wgsl */ `${SIGMOID}
${BOUNDED}
fn share(x: vec4f) -> vec4f { // ½(1 + tanh u) = sigmoid(2u), without its cancellation for negative x
  let b = bounded(x);
  return logistic(1.5957691216057308 * b * (1.0 + 0.044715 * b * b));
}
${TIMES}
fn slope(x: vec4f, p: vec4f) -> vec4f {
  let b = bounded(x);
  return p + b * (1.5957691216057308 * (1.0 + 0.134145 * b * b)) * p * (1.0 - p);
}`,
  silu: /* wgsl */ `${SIGMOID}
fn share(x: vec4f) -> vec4f { return logistic(x); }
${TIMES}
fn slope(x: vec4f, p: vec4f) -> vec4f { return p + x * p * (1.0 - p); }`,
} as const;

/**
 * activationParts — for `declarations`, on four numbers at a time:
 *
 *     fn share(x: vec4f) -> vec4f                  Φ(x), sigmoid(2u) or sigmoid(x)
 *     fn product(x: vec4f, p: vec4f) -> vec4f      f(x), from its share
 *     fn slope(x: vec4f, p: vec4f) -> vec4f        f'(x)
 */
export function activationParts(activation: Activation): string {
  return PARTS[activation];
}
