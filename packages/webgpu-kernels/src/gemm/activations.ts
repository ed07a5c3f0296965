/** The activations that a product can end with. */
export const ACTIVATIONS = ['linear', 'relu', 'relu6', 'gelu', 'geluTanh', 'silu'] as const;

export type GemmActivation = (typeof ACTIVATIONS)[number];

/** The type that an epilogue works on: four columns at a time, or one. */
export type Lanes = 'vec4f' | 'f32';

/**
 * activationText — WGSL of `fn activate(x: T) -> T`, NaN to NaN.
 *
 * Comparisons with a NaN are false, so every `select` here leaves it. GELU is x·Φ(x), with Φ in the tail by the form of Hastings
 * (Abramowitz & Stegun 7.1.26) and nine coefficients fitted to erfc(z)·exp(z²) for least relative error: no cancellation for
 * negative x. Its tanh approximation is x·sigmoid(2u).
 */
export function activationText(activation: GemmActivation, lanes: Lanes): string {
  return TEXTS[activation].replaceAll('T(', `${lanes}(`).replaceAll(/\bT\b/g, lanes);
}

const COEFFICIENTS = [
  0.2845752537250519, -0.4872004985809326, 0.27806779742240906, -0.026626085862517357, 0.20268703997135162, 0.2431037276983261,
  0.282375305891037, 0.28208643198013306,
];

const TEXTS: Readonly<Record<GemmActivation, string>> = {
  linear: 'fn activate(x: T) -> T { return x; }',
  relu: 'fn activate(x: T) -> T { return select(x, T(0.0), x < T(0.0)); }',
  relu6: 'fn activate(x: T) -> T { return select(select(x, T(0.0), x < T(0.0)), T(6.0), x > T(6.0)); }',
  gelu: [
    'fn activate(x: T) -> T {',
    '  let t = T(1.0) / (T(1.0) + 0.35355339059327376 * abs(x));',
    '  var p = T(-0.05906902253627777);',
    ...COEFFICIENTS.map((c) => `  p = fma(p, t, T(${c}));`),
    '  let tail = 0.5 * exp(-0.5 * x * x) * t * p;',
    '  return x * select(T(1.0) - tail, tail, x < T(0.0));',
    '}',
  ].join('\n'),
  geluTanh: [
    'fn activate(x: T) -> T {', // beyond ±20 the sigmoid is 0 or 1, and x³ may overflow
    '  let b = select(select(x, T(-20.0), x < T(-20.0)), T(20.0), x > T(20.0));',
    '  return x / (T(1.0) + exp(-1.5957691216057308 * b * (T(1.0) + 0.044715 * b * b)));',
    '}',
  ].join('\n'),
  silu: 'fn activate(x: T) -> T { return x / (T(1.0) + exp(-x)); }',
};
