import { add, greater, less, mul, onesLike, reshape, slice, tidy, where, type Tensor, type Variable } from '@tensorflow/tfjs-core';
import { currentNumber, derived, stepScalar, type StepNumber } from '@evenkeel/core-tensor';

/** MomentumLists — tensor i of each list belongs to parameter i; the factors hold one number per parameter. */
export type MomentumLists = {
  readonly param: readonly Tensor[]; readonly grad: readonly Tensor[]; readonly mu: readonly Variable[]; readonly factor?: readonly [Tensor]; readonly outFactor?: readonly [Tensor];
};

export type MomentumAttrs = Readonly<Record<'learningRate' | 'keep' | 'take' | 'aheadKeep' | 'aheadTake', number | StepNumber>> & {
  /** Whether the direction is only its sign. */
  readonly sign?: boolean;
  /** One per parameter: decay beside the direction, and what is added to the gradient before the moment. */
  readonly weightDecays: readonly number[]; readonly penalties?: readonly number[];
  readonly scales: readonly number[];
};

/** momentumReference — `momentumStep` one parameter after the other, of tfjs ops; assigns `mu`. */
export function momentumReference({ param, grad, mu, factor, outFactor }: MomentumLists, attrs: MomentumAttrs): Tensor[] {
  const { learningRate, keep, take, aheadKeep, aheadTake, sign = false, weightDecays, penalties, scales } = attrs;
  const scaled = (x: Tensor, by: number | StepNumber): Tensor => mul(x, stepScalar(by));
  return param.map((p, i) => tidy(() => {
    const g = times(plus(grad[i] as Tensor, penalties?.[i] ?? 0, p), factor?.[0], i);
    const m = mu[i] as Variable;
    const ahead = add(scaled(m, aheadKeep), scaled(g, aheadTake));
    const step = plus(times(sign ? signOf(ahead) : ahead, outFactor?.[0], i), weightDecays[i] as number, p);
    m.assign(add(scaled(m, keep), scaled(g, take)));
    return scaled(step, derived([learningRate], () => -currentNumber(learningRate) * (scales[i] as number)));
  }));
}

/** x + share · p; where the share is 0 the parameter does not matter, be it NaN. */
const plus = (x: Tensor, share: number, p: Tensor): Tensor => (share === 0 ? x : add(x, mul(p, share)));

/** x times number i of the factors. */
const times = (x: Tensor, factors: Tensor | undefined, i: number): Tensor => (factors === undefined ? x : mul(x, reshape(slice(factors, [i], [1]), [])));

/** 1 above zero, −1 below, and x itself where it is neither: zero or NaN. */
const signOf = (x: Tensor): Tensor => where(greater(x, 0), onesLike(x), where(less(x, 0), mul(onesLike(x), -1), x));
