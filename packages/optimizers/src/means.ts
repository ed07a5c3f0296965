import { greater, mean, reshape, scalar, slice, square, stack, sub, tidy, where, zerosLike, type Tensor, type Tensor1D } from '@tensorflow/tfjs-core';
import { hasListKernel, runListKernel } from '@evenkeel/core-tensor';

/** `unless`: one number per tensor; those of which it is above 0 need not be read, and have the mean 0. */
type MeansOptions = { readonly unless?: Tensor };

/** means — the mean of each tensor of a list, in one kernel where the backend has it. */
export function means(xs: readonly Tensor[], { unless }: MeansOptions = {}): Tensor1D {
  return listMeans('evenkeel/means', xs, { unless }, (x) => x);
}

/** meanSquares — the mean of (x − centre)² of each tensor of a list; `centres`: one number per tensor, default 0. */
export function meanSquares(xs: readonly Tensor[], { centres, unless }: MeansOptions & { readonly centres?: Tensor } = {}): Tensor1D {
  return listMeans('evenkeel/meanSquares', xs, { centre: centres, unless }, (x, i) =>
    square(centres === undefined ? x : sub(x, reshape(slice(centres, [i], [1]), []))));
}

function listMeans(name: string, xs: readonly Tensor[], numbers: { centre?: Tensor | undefined; unless?: Tensor | undefined }, summand: (x: Tensor, i: number) => Tensor): Tensor1D {
  const given = Object.fromEntries(Object.entries(numbers).flatMap(([key, value]) => (value === undefined ? [] : [[key, [value]] as const])));
  if (hasListKernel(name)) return runListKernel(name, { x: xs, ...given }) as unknown as Tensor1D;
  return tidy(() => {
    const all = stack(xs.map((x, i) => tidy(() => (x.size === 0 ? scalar(0) : mean(summand(x, i))))));
    const { unless } = numbers;
    return unless === undefined ? all : where(greater(unless, 0), zerosLike(all), all);
  }) as Tensor1D;
}
