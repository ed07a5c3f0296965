import { randomArray } from './random.ts';
import { readValues, unflatten, type FlatValues, type Values } from './values.ts';
import { verdict } from './verdict.ts';

export type CheckGradOptions<Name extends string> = {
  /** The loss in float64, written without the code under test. Called many times: keep the sizes small. */
  loss64: (inputs: Record<Name, Float64Array>) => number;
  /** The point at which the gradient was taken: every differentiable input (others belong in the closure of `loss64`). */
  inputs: Record<Name, Values>;
  /** The analytic gradient of the loss with respect to each input. */
  gradients: Record<Name, Values>;
  seed?: number;
  /** Random directions per input; default 4. */
  directions?: number;
  /** Step of the central difference, in the unit of the inputs; default 1e-4. */
  step?: number;
  /** Allowed error relative to the larger of |slope| and ‖gradient‖; default 1e-4. */
  rtol?: number;
  /** Allowed absolute error of a slope; default 1e-6. */
  atol?: number;
  /** Inputs on which the loss really does not depend; for all others a flat oracle is a mistake in the test, hence a failure. */
  flat?: readonly Name[];
};

/**
 * checkGrad — analytic gradients agree with central differences of a float64 oracle.
 *
 *     (L(x + h·v) − L(x − h·v)) / 2h  =  ⟨∇L, v⟩      for seeded random directions v, one input at a time
 *
 * On failure the worst coordinate is searched for and printed.
 */
export async function checkGrad<Name extends string>(options: CheckGradOptions<Name>): Promise<void> {
  const names = Object.keys(options.inputs) as Name[];
  const point = Object.fromEntries(await Promise.all(
    names.map(async (name) => [name, await readValues(options.inputs[name])] as const),
  )) as Record<Name, FlatValues>;
  for (const name of names) {
    const gradient = options.gradients[name] as Values | undefined;
    verdict(gradient === undefined ? `checkGrad: gradients must have ${name}` : checkInput(options, point, name, await readValues(gradient)));
  }
}

function checkInput<Name extends string>(
  { loss64, seed = 1, directions = 4, step = 1e-4, rtol = 1e-4, atol = 1e-6, flat = [] }: CheckGradOptions<Name>,
  point: Record<Name, FlatValues>, name: Name, gradient: FlatValues,
): string | undefined {
  const size = point[name].data.length;
  if (gradient.data.length !== size) return `checkGrad: the gradient of ${name} must have ${size} values, got ${gradient.data.length}`;
  const slope = (direction: ArrayLike<number>) => centralDifference(loss64, point, name, direction, step);
  const norm = Math.hypot(...gradient.data);
  let steepest = 0;
  for (let k = 0; k < directions; k++) {
    const direction = randomArray(size, { seed: seed * 1009 + k });
    const numeric = slope(direction);
    const analytic = dot(gradient.data, direction);
    steepest = Math.max(steepest, Math.abs(numeric));
    if (!(Math.abs(numeric - analytic) <= atol + rtol * Math.max(Math.abs(numeric), norm))) {
      return `checkGrad: the gradient of ${name} must give slope ${numeric} along direction ${k}, gives ${analytic}\n${worstCoordinate(slope, gradient, point[name])}`;
    }
  }
  if (steepest > atol || flat.includes(name)) return undefined;
  return `checkGrad: the oracle does not change with ${name}, so its gradient proves nothing; name it in flat if that is meant`;
}

function centralDifference<Name extends string>(
  loss64: (inputs: Record<Name, Float64Array>) => number, point: Record<Name, FlatValues>, name: Name,
  direction: ArrayLike<number>, step: number,
): number {
  const at = (sign: number) => {
    const inputs = {} as Record<Name, Float64Array>;
    for (const other of Object.keys(point) as Name[]) inputs[other] = point[other].data.slice();
    inputs[name].forEach((value, i) => (inputs[name][i] = value + sign * step * direction[i]!));
    return loss64(inputs);
  };
  return (at(1) - at(-1)) / (2 * step);
}

function dot(a: Float64Array, b: ArrayLike<number>): number {
  return a.reduce((sum, value, i) => sum + value * b[i]!, 0);
}

/** Where the analytic gradient is furthest from the oracle's, coordinate by coordinate (only after a failure). */
function worstCoordinate(slope: (direction: ArrayLike<number>) => number, gradient: FlatValues, point: FlatValues): string {
  const size = Math.min(gradient.data.length, 1024);
  let [worst, error, numeric] = [0, -1, 0];
  const direction = new Float64Array(gradient.data.length);
  for (let i = 0; i < size; i++) {
    direction[i] = 1;
    const here = slope(direction);
    direction[i] = 0;
    const difference = Number.isNaN(here - gradient.data[i]!) ? Infinity : Math.abs(here - gradient.data[i]!);
    if (difference > error) [worst, error, numeric] = [i, difference, here];
  }
  const shape = gradient.shape ?? point.shape;
  return `  worst coordinate ${unflatten(worst, shape)}: got ${gradient.data[worst]}, expected ${numeric}`;
}
