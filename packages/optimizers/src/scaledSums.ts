import { add, mul, tidy, type Tensor, type Variable } from '@tensorflow/tfjs-core';
import { hasListKernel, runListKernel, stepScalar, unshare, type StepNumber } from '@evenkeel/core-tensor';

export type ScaledSums = {
  readonly xs: readonly Tensor[];
  readonly a: number | StepNumber;
  /** A scalar on the device by which `a` is multiplied. */
  readonly factor?: Tensor;
  readonly ys?: readonly Tensor[];
  /** One per tensor; where it is 0 `ys` is not read. */
  readonly bs?: readonly number[];
};

/** scaledSums — factor · a · x + b · y for each tensor of a list: one kernel call where the backend has it. */
export function scaledSums({ xs, a, factor, ys, bs }: ScaledSums): Tensor[] {
  if (hasListKernel('evenkeel/scaledSums')) {
    return runListKernel('evenkeel/scaledSums', { x: xs, ...(ys && { y: ys }), ...(factor && { factor: [factor] }) }, { a, ...(bs && { bs }) });
  }
  return xs.map((x, i) => tidy(() => {
    const scaled = mul(x, factor === undefined ? stepScalar(a) : mul(factor, stepScalar(a)));
    const b = bs?.[i] ?? 0;
    return ys === undefined || b === 0 ? scaled : add(scaled, mul(ys[i] as Tensor, b));
  }));
}

/** standOnce — whether no variable stands at two places of a list: kernels write to all of them at the same time. */
export const standOnce = (variables: readonly Variable[]): boolean => new Set(variables).size === variables.length;

/** addScaled — x ← a·x + y for each variable of a list, in place where the backend has the kernel. */
export function addScaled(xs: readonly Variable[], a: number, ys: readonly Tensor[]): void {
  if (standOnce(xs) && hasListKernel('evenkeel/addScaled')) {
    unshare(xs);
    runListKernel('evenkeel/addScaled', { x: xs, y: ys }, { a, b: 1 });
    return;
  }
  xs.forEach((x, i) => tidy(() => x.assign(add(a === 1 ? x : mul(x, a), ys[i] as Tensor))));
}
