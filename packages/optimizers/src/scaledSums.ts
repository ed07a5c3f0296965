import { add, mul, reshape, slice, tidy, type Tensor, type Variable } from '@tensorflow/tfjs-core';
import { currentNumber, derived, hasListKernel, runListKernel, stepScalar, unshare, type StepNumber } from '@evenkeel/core-tensor';

export type ScaledSums = {
  readonly xs: readonly Tensor[];
  readonly a: number | StepNumber;
  /** Numbers by which `a` is multiplied, one per tensor; default 1. */
  readonly as?: readonly number[];
  /** What `a` is multiplied by and the device knows: a scalar, or one number per tensor. */
  readonly factor?: Tensor;
  readonly ys?: readonly Tensor[];
  /** Default 1. */
  readonly b?: number | StepNumber;
  /** Numbers by which `b` is multiplied, one per tensor; where it is 0 `ys` is not read. */
  readonly bs?: readonly number[];
};

/** scaledSums — factor · a · x + b · y for each tensor of a list: one kernel call where the backend has it. */
export function scaledSums({ xs, a, as, factor, ys, b = 1, bs }: ScaledSums): Tensor[] {
  if (hasListKernel('evenkeel/scaledSums')) {
    return runListKernel('evenkeel/scaledSums', { x: xs, ...(ys && { y: ys }), ...(factor && { factor: [factor] }) }, { a, b, ...(as && { as }), ...(bs && { bs }) });
  }
  return xs.map((x, i) => tidy(() => {
    const own = productOf(a, as?.[i]);
    const scaled = mul(x, factor === undefined ? stepScalar(own) : mul(numberOf(factor, i), stepScalar(own)));
    const share = bs?.[i] ?? 0;
    return ys === undefined || share === 0 ? scaled : add(scaled, mul(ys[i] as Tensor, stepScalar(productOf(b, share))));
  }));
}

const productOf = (number: number | StepNumber, own = 1): number | StepNumber => (own === 1 ? number : derived([number], () => currentNumber(number) * own));

/** The number of tensor i, as a scalar. */
const numberOf = (factor: Tensor, i: number): Tensor => (factor.rank === 0 ? factor : reshape(slice(factor, [factor.size === 1 ? 0 : i], [1]), []));

/** standOnce — whether no variable stands at two places of a list: kernels write to all of them at the same time. */
export const standOnce = (variables: readonly Variable[]): boolean => new Set(variables).size === variables.length;

/** addScaled — x ← a·x + b·y for each variable of a list, in place where the backend has the kernel; b is 1 unless given. */
export function addScaled(xs: readonly Variable[], a: number | StepNumber, ys: readonly Tensor[], b: number | StepNumber = 1): void {
  if (standOnce(xs) && hasListKernel('evenkeel/addScaled')) {
    unshare(xs);
    runListKernel('evenkeel/addScaled', { x: xs, y: ys }, { a, b });
    return;
  }
  const times = (x: Tensor, by: number | StepNumber): Tensor => (by === 1 ? x : mul(x, stepScalar(by)));
  xs.forEach((x, i) => tidy(() => x.assign(add(times(x, a), times(ys[i] as Tensor, b)))));
}
