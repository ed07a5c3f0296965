/** Functions in WGSL that several kernels use; of numbers (width 1) or of vectors of four. */

/** WGSL_IS_NAN — `isNan(x)` from the bits: compilers may take for granted that x != x is never true. */
export const WGSL_IS_NAN = (width: 1 | 4): string => {
  const [F, W, B] = width === 1 ? ['f32', 'u32', 'bool'] : ['vec4f', 'vec4u', 'vec4<bool>'];
  return `fn isNan(x: ${F}) -> ${B} { return (bitcast<${W}>(x) & ${W}(0x7fffffffu)) > ${W}(0x7f800000u); }`;
};

/**
 * WGSL_TANH — `hyperbolicTangent(x: vec4f)`; relative error below 3e-7 where `exp` is exact. WGSL's own may cancel near 0.
 * Up to |x| = 0.6 x·P(x²)/Q(x²) with the coefficients published in Eigen (MPL 2.0), beyond 1 − 2/(e²ˣ + 1).
 */
export const WGSL_TANH = /* wgsl */ `
  fn hyperbolicTangent(x: vec4f) -> vec4f {
    let s = x * x;
    var p = s * -2.76076847742355e-16 + 2.00018790482477e-13;
    p = s * p - 8.60467152213735e-11;
    p = s * p + 5.12229709037114e-8;
    p = s * p + 1.48572235717979e-5;
    p = s * p + 6.37261928875436e-4;
    p = s * p + 4.89352455891786e-3;
    var q = s * 1.19825839466702e-6 + 1.18534705686654e-4;
    q = s * q + 2.268434632439e-3;
    q = s * q + 4.89352518554385e-3;
    let beyond = 1.0 - 2.0 / (exp(2.0 * min(abs(x), vec4f(20.0))) + 1.0);
    return select(x * p / q, select(beyond, -beyond, x < vec4f(0.0)), abs(x) > vec4f(0.6));
  }`;

/**
 * WGSL_ERF — `errorFunction(x: vec4f)`; absolute error below 3e-7, relative below 1e-6.
 * Up to |x| = ½ x·P(x²)/Q(x²) with the coefficients published in Eigen (MPL 2.0). Beyond 1 − e^(−x²)·t·R(t), t = 1/(1 + |x|/2):
 * the form of Abramowitz & Stegun 7.1.26, with nine coefficients fitted to erfc(z)·exp(z²) on [0, 10] for least relative error.
 */
export const WGSL_ERF = /* wgsl */ `
  fn errorFunction(x: vec4f) -> vec4f {
    let z = min(abs(x), vec4f(10.0));
    let t = 1.0 / (1.0 + 0.5 * z);
    var r = t * -0.05906902253627777 + 0.2845752537250519;
    r = t * r - 0.4872004985809326;
    r = t * r + 0.27806779742240906;
    r = t * r - 0.026626085862517357;
    r = t * r + 0.20268703997135162;
    r = t * r + 0.2431037276983261;
    r = t * r + 0.282375305891037;
    r = t * r + 0.28208643198013306;
    let beyond = 1.0 - exp(-z * z) * t * r;
    let s = x * x;
    var p = s * -2.72614225801306e-10 + 2.77068142495902e-8;
    p = s * p - 2.10102402082508e-6;
    p = s * p - 5.69250639462346e-5;
    p = s * p - 7.34990630326855e-4;
    p = s * p - 2.95459980854025e-3;
    p = s * p - 1.60960333262415e-2;
    var q = s * -1.45660718464996e-5 - 2.13374055278905e-4;
    q = s * q - 1.68282697438203e-3;
    q = s * q - 7.37332916720468e-3;
    q = s * q - 1.42647390514189e-2;
    return select(x * p / q, select(beyond, -beyond, x < vec4f(0.0)), abs(x) > vec4f(0.5));
  }`;

/**
 * WGSL_SINE — `sine(x: vec4f, quarter: i32)`: sin x, or with quarter 1 cos x; absolute error below 2e-7 up to |x| = 10⁵, where
 * WGSL promises 5e-4 and that within ±π only. Infinities give NaN.
 * Multiples of π/2 are taken off in four parts whose products are exact; the rest, within ±π/4, goes into Taylor's series.
 */
export const WGSL_SINE = /* wgsl */ `
  fn sine(x: vec4f, quarter: i32) -> vec4f {
    let n = round(x * 0.63661977);
    let rest = (((x - n * 1.5703125) - n * 0.0004825592041015625) - n * 0.0000012665987014770508) - n * 9.920935e-10;
    let s = rest * rest;
    let sinRest = rest + rest * s * (-1.6666667e-1 + s * (8.3333333e-3 + s * (-1.9841270e-4 + s * 2.7557319e-6)));
    let cosRest = 1.0 + s * (-0.5 + s * (4.1666667e-2 + s * (-1.3888889e-3 + s * (2.4801587e-5 - s * 2.7557319e-7))));
    let turns = vec4i(n) + vec4i(quarter);
    let value = select(sinRest, cosRest, (turns & vec4i(1)) == vec4i(1));
    return select(value, -value, (turns & vec4i(2)) == vec4i(2));
  }`;
