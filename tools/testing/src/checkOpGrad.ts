import { dispose, grads, mul, sum, tensor, type Tensor } from '@tensorflow/tfjs-core';
import { checkGrad, type CheckGradOptions } from './checkGrad.ts';
import { randomArray } from './random.ts';

export type CheckOpGradOptions<Name extends string> =
  Pick<CheckGradOptions<Name>, 'seed' | 'directions' | 'step' | 'rtol' | 'atol' | 'flat'> & {
    /** The op under test, of its differentiable inputs alone. */
    op: (inputs: Record<Name, Tensor>) => Tensor;
    /** The same op in float64, on flat arrays; any shape, row-major. */
    oracle64: (inputs: Record<Name, Float64Array>) => Float64Array;
    /** The point: tensors on the current backend, borrowed. */
    inputs: Record<Name, Tensor>;
  };

/**
 * checkOpGrad — the gradient of an op in every input, against central differences of its float64 oracle.
 *
 * The loss is ⟨op(inputs), c⟩ for a seeded random cotangent c, so that every output element counts differently.
 */
export async function checkOpGrad<Name extends string>({ op, oracle64, inputs, seed = 1, ...rest }: CheckOpGradOptions<Name>): Promise<void> {
  const names = Object.keys(inputs) as Name[];
  const cotangent = randomArray(await outputSize(op, inputs), { seed: seed + 77_003 });
  const loss = (...values: Tensor[]) => {
    const y = op(Object.fromEntries(names.map((name, i) => [name, values[i]])) as Record<Name, Tensor>);
    return sum(mul(y, tensor(cotangent, y.shape)));
  };
  const found = grads(loss)(names.map((name) => inputs[name]));
  const gradients = Object.fromEntries(names.map((name, i) => [name, found[i]!])) as Record<Name, Tensor>;
  try {
    await checkGrad<Name>({
      ...rest, seed, inputs, gradients,
      loss64: (values) => oracle64(values).reduce((total, y, i) => total + y * cotangent[i]!, 0),
    });
  } finally {
    dispose(found);
  }
}

async function outputSize<Name extends string>(op: (inputs: Record<Name, Tensor>) => Tensor, inputs: Record<Name, Tensor>): Promise<number> {
  const y = op(inputs);
  const size = y.size;
  dispose(y);
  return size;
}
