import { add, addN, grads as tfjsGrads, mul, square, sum, tensor, tidy, type Tensor } from '@tensorflow/tfjs-core';
import { valueAndGrad } from '@evenkeel/core-tensor';
import { checkGrad, expectClose, expectNoLeak, randomArray, readValues } from '@evenkeel/testing';
import { describe, expect, it } from 'vitest';

export type Tensors = Record<string, Tensor>;
export type Values64 = Record<string, Float64Array>;

/** OpCase — an operation of float32 tensors, and a point at which its derivatives are checked. */
export type OpCase = {
  /** The call, as it begins the titles of its tests. */
  readonly name: string;
  readonly op: (inputs: Tensors) => Tensor;
  /** Made anew for every test; all of them differentiable. */
  readonly inputs: () => Tensors;
  /** The same operation in float64. Without it the operation itself is differenced, in float32 and with wider steps. */
  readonly oracle64?: (inputs: Values64) => ArrayLike<number>;
  /** Whether the operation has second derivatives other than 0 of its own. */
  readonly curved?: boolean;
};

/** gradientTests — what every differentiable operation passes: first and second derivatives, both tape walks, no leak. */
export function gradientTests(cases: readonly OpCase[]): void {
  describe.each([...cases])('$name', (each) => {
    it(`${each.name} has the first derivatives of finite differences`, () => checkFirst(each));
    it(`${each.name} has the Hessian-vector products of finite differences`, () => checkSecond(each));
    it(`${each.name} has the same gradient under tf.grads, and leaks nothing`, () => checkWalks(each));
  });
}

/** Steps and tolerances where the truth itself comes from float32 operations. */
const FLOAT32_DIFFERENCES = { step: 5e-3, rtol: 2e-3, atol: 5e-4 };

const weights = (size: number): Float32Array => randomArray(size, { seed: 4711 });

/** Σ c·y for fixed random c. */
const linearLoss = (y: Tensor): Tensor => sum(mul(y, tensor(weights(y.size), y.shape)));

/** Σ c·y + y²/2, whose Hessian is not 0 even where the operation is linear. */
const curvedLoss = (y: Tensor): Tensor => add(linearLoss(y), mul(sum(square(y)), 0.5));

async function checkFirst({ op, inputs: make, oracle64 }: OpCase): Promise<void> {
  const inputs = make();
  const { grads } = valueAndGrad((p: Tensors) => linearLoss(op(p)), inputs);
  const result = (values: Values64): ArrayLike<number> => oracle64?.(values) ?? numbers(() => op(asTensors(values, inputs)));
  await checkGrad({
    inputs, gradients: grads, ...(oracle64 === undefined ? FLOAT32_DIFFERENCES : {}),
    loss64: (values) => dot(result(values), weights(result(values).length)),
  });
}

async function checkSecond({ op, inputs: make, curved = false }: OpCase): Promise<void> {
  await checkHessian((p) => curvedLoss(op(p)), make());
  if (curved) await checkHessian((p) => linearLoss(op(p)), make(), Object.keys(make()));
}

/**
 * checkHessian — H·v by nested `valueAndGrad` against differences of the gradient.
 *
 * @param flat  inputs whose part of H·v may be 0; the whole of it may not.
 */
export async function checkHessian(loss: (inputs: Tensors) => Tensor, inputs: Tensors, flat: readonly string[] = []): Promise<void> {
  const vectors = Object.fromEntries(Object.entries(inputs).map(([name, { shape, size }], i) => [name, tensor(randomArray(size, { seed: 99 + i }), shape)]));
  const slope = (at: Tensors): Tensor => {
    const { grads } = valueAndGrad(loss, at);
    return addN(Object.keys(at).map((name) => sum(mul(grads[name] as Tensor, vectors[name] as Tensor))));
  };
  const { grads } = valueAndGrad(slope, inputs, { unused: 'zero' });
  const norms = await Promise.all(Object.values(grads).map(async (grad) => Math.hypot(...(await readValues(grad)).data)));
  expect(Math.max(...norms)).toBeGreaterThan(1e-3);
  await checkGrad({
    inputs, gradients: grads, flat, ...FLOAT32_DIFFERENCES,
    loss64: (values) => numbers(() => slope(asTensors(values, inputs)))[0] as number,
  });
}

async function checkWalks({ op, inputs: make }: OpCase): Promise<void> {
  const inputs = make();
  const names = Object.keys(inputs);
  const loss = (p: Tensors): Tensor => linearLoss(op(p));
  await expectNoLeak(() => valueAndGrad(loss, inputs));
  const ours = valueAndGrad(loss, inputs).grads;
  const theirs = tfjsGrads((...xs: Tensor[]) => loss(Object.fromEntries(xs.map((x, i) => [names[i], x]))))(Object.values(inputs));
  for (const [i, name] of names.entries()) await expectClose(ours[name] as Tensor, theirs[i] as Tensor);
}

const asTensors = (values: Values64, like: Tensors): Tensors =>
  Object.fromEntries(Object.entries(values).map(([name, data]) => [name, tensor(Float32Array.from(data), (like[name] as Tensor).shape)]));

/** The values of a result, without leaving tensors behind. */
function numbers(f: () => Tensor): Float64Array {
  return tidy(() => Float64Array.from(f().dataSync()) as never) as Float64Array;
}

const dot = (a: ArrayLike<number>, b: ArrayLike<number>): number => Array.from(a).reduce((total, value, i) => total + value * (b[i] as number), 0);
