import {
  add, cast, clone, cos, cosh, div, equal, exp, floor, greater, greaterEqual, less, lessEqual, log, logicalAnd, mul, neg, pow, sigmoid, sign,
  sin, sinh, sqrt, square, step, sub, where, zerosLike, type GradConfig, type Tensor,
} from '@tensorflow/tfjs-core';
import { attr, binary, fromOutput, linear, linearBinary, shapesOfAll, unary } from './config.ts';

/** Where `condition` holds `dy`, elsewhere 0: unlike a product with the mask, it keeps infinities out. */
const only = (condition: Tensor, dy: Tensor): Tensor => where(condition, dy, zerosLike(dy));
const SELU_SCALE = 1.0507009873554805;
const SELU_SCALE_ALPHA = 1.7580993408473768;

const arithmetic: GradConfig[] = [
  linearBinary('Add', clone, clone),
  linearBinary('Sub', clone, neg),
  binary('Multiply', (dy, _, b) => mul(dy, b), (dy, a) => mul(dy, a)),
  binary('RealDiv', (dy, _, b) => div(dy, b), (dy, a, b) => neg(mul(div(dy, b), div(a, b)))),
  binary('SquaredDifference', (dy, a, b) => mul(mul(dy, 2), sub(a, b)), (dy, a, b) => mul(mul(dy, 2), sub(b, a))),
  binary('Maximum', (dy, a, b) => mul(dy, cast(greaterEqual(a, b), 'float32')), (dy, a, b) => mul(dy, cast(less(a, b), 'float32'))),
  binary('Minimum', (dy, a, b) => mul(dy, cast(lessEqual(a, b), 'float32')), (dy, a, b) => mul(dy, cast(greater(a, b), 'float32'))),
  binary('Mod', clone, (dy, a, b) => neg(mul(dy, floor(div(a, b))))),
  binary('Atan2', (dy, a, b) => mul(dy, div(b, add(square(a), square(b)))), (dy, a, b) => neg(mul(dy, div(a, add(square(a), square(b)))))),
  binary('Pow', powBase, powExponent),
  { kernelName: 'AddN', inputsToSave: shapesOfAll(), gradFunc: (dy, saved) => Object.fromEntries(saved.map((_, i) => [i, () => clone(dy as Tensor)])) },
  linear('Neg', neg),
  unary('Square', (dy, x) => mul(dy, mul(x, 2))),
  fromOutput('Sqrt', (dy, y) => div(mul(dy, 0.5), y)),
  fromOutput('Rsqrt', (dy, y) => mul(mul(dy, -0.5), mul(y, square(y)))),
  fromOutput('Reciprocal', (dy, y) => neg(mul(dy, square(y)))),
  unary('Abs', (dy, x) => mul(dy, sign(x))),
];

/** d(a^b)/da = b·a^(b−1), which is 0 for b = 0 even where a = 0. */
function powBase(dy: Tensor, a: Tensor, b: Tensor): Tensor {
  const slope = mul(b, pow(a, sub(b, 1)));
  return mul(dy, where(equal(b, 0), zerosLike(slope), slope));
}

/** d(a^b)/db = a^b·log a, taken as 0 for a ≤ 0. */
function powExponent(dy: Tensor, a: Tensor, b: Tensor): Tensor {
  const isPositive = greater(a, 0);
  const safe = where(isPositive, a, 1);
  return mul(dy, mul(mul(pow(safe, b), log(safe)), cast(isPositive, 'float32')));
}

const exponential: GradConfig[] = [
  fromOutput('Exp', (dy, y) => mul(dy, y)),
  fromOutput('Expm1', (dy, y) => mul(dy, add(y, 1))),
  unary('Log', (dy, x) => div(dy, x)),
  unary('Log1p', (dy, x) => div(dy, add(x, 1))),
  unary('Erf', (dy, x) => mul(dy, mul(exp(neg(square(x))), 2 / Math.sqrt(Math.PI)))),
];

const trigonometric: GradConfig[] = [
  unary('Sin', (dy, x) => mul(dy, cos(x))),
  unary('Cos', (dy, x) => neg(mul(dy, sin(x)))),
  fromOutput('Tan', (dy, y) => mul(dy, add(square(y), 1))),
  unary('Sinh', (dy, x) => mul(dy, cosh(x))),
  unary('Cosh', (dy, x) => mul(dy, sinh(x))),
  fromOutput('Tanh', (dy, y) => mul(dy, sub(1, square(y)))),
  unary('Asin', (dy, x) => div(dy, sqrt(sub(1, square(x))))),
  unary('Acos', (dy, x) => neg(div(dy, sqrt(sub(1, square(x)))))),
  unary('Atan', (dy, x) => div(dy, add(square(x), 1))),
  unary('Asinh', (dy, x) => div(dy, sqrt(add(square(x), 1)))),
  unary('Acosh', (dy, x) => div(dy, sqrt(sub(square(x), 1)))),
  unary('Atanh', (dy, x) => div(dy, sub(1, square(x)))),
];

const activations: GradConfig[] = [
  fromOutput('Relu', (dy, y) => mul(dy, step(y))),
  fromOutput('Relu6', (dy, y) => mul(dy, mul(step(y), step(sub(6, y))))),
  unary('LeakyRelu', (dy, x, attrs) => where(greater(x, 0), dy, mul(dy, attr<number>(attrs, 'alpha')))),
  binary('Prelu', (dy, x, alpha) => where(greater(x, 0), dy, mul(dy, alpha)), (dy, x) => only(lessEqual(x, 0), mul(dy, x)), ['x', 'alpha']),
  fromOutput('Elu', (dy, y) => where(greater(y, 0), dy, mul(dy, add(y, 1)))),
  fromOutput('Selu', (dy, y) => where(greater(y, 0), mul(dy, SELU_SCALE), mul(dy, add(y, SELU_SCALE_ALPHA)))),
  fromOutput('Sigmoid', (dy, y) => mul(dy, mul(y, sub(1, y)))),
  unary('Softplus', (dy, x) => mul(dy, sigmoid(x))),
  unary('ClipByValue', (dy, x, attrs) => only(
    logicalAnd(greaterEqual(x, attr<number>(attrs, 'clipValueMin')), lessEqual(x, attr<number>(attrs, 'clipValueMax'))), dy)),
];

/** elementwiseGradients — kernels that treat each element on its own. */
export const elementwiseGradients: readonly GradConfig[] = [...arithmetic, ...exponential, ...trigonometric, ...activations];
