/** What addLayerNorm and addRmsNorm have in common: one row per norm. */
import { valueAndGrad } from '@evenkeel/core-tensor';
import { addLayerNorm, addRmsNorm, layerNorm, layerNormLayer, rmsNorm, rmsNormLayer } from '@evenkeel/norms';
import { checkGrad, checkOpGrad, expectClose, expectNoLeak, expectNoWorseThan, forEachBackend, layerNorm64, randomArray, randomTensor, rmsNorm64 } from '@evenkeel/testing';
import { add, concat, dispose, mul, reshape, square, sum, tensor, tidy, zeros, type Tensor } from '@tensorflow/tfjs-core';
import { describe, expect, it } from 'vitest';

type Tensors = Record<string, Tensor>;
type Numbers = Record<string, ArrayLike<number>>;
type Vectors = { weight?: Tensor; bias?: Tensor };
type Row = {
  name: string;
  params: readonly string[];
  op: (x: Tensor, residual: Tensor, params: Vectors, options?: { eps?: number }) => { y: Tensor; sum: Tensor };
  norm: (x: Tensor, params: Vectors) => Tensor;
  norm64: (x: ArrayLike<number>, columns: number, params: Numbers) => Float64Array;
  layer: typeof layerNormLayer | typeof rmsNormLayer;
};

const rows: Row[] = [
  { name: 'addLayerNorm', params: ['weight', 'bias'], op: addLayerNorm, norm: layerNorm, norm64: (x, columns, params) => layerNorm64(x, columns, { ...params, eps: 1e-5 }), layer: layerNormLayer },
  { name: 'addRmsNorm', params: ['weight'], op: addRmsNorm, norm: rmsNorm, norm64: (x, columns, params) => rmsNorm64(x, columns, { ...params, eps: 1e-6 }), layer: rmsNormLayer },
];

describe.each(rows)('$name', ({ name, params, op, norm, norm64, layer }) => {
  const makeInputs = (shape: number[]): Tensors => ({
    x: randomTensor(shape as [number]), residual: randomTensor(shape as [number], { seed: 2, std: 2, mean: 0.5 }),
    ...Object.fromEntries(params.map((param, i) => [param, randomTensor([shape.at(-1)!], { seed: 3 + i, mean: 1 })])),
  });
  const apply = ({ x, residual, ...vectors }: Tensors) => op(x!, residual!, vectors);
  const sum64 = ({ x, residual }: Numbers) => Float64Array.from(x!, (value, i) => value + residual![i]!);
  const y64 = (columns: number) => (p: Numbers) => norm64(sum64(p), columns, Object.fromEntries(params.flatMap((param) => (p[param] ? [[param, p[param]]] : []))));
  const read = async (tensors: Tensors): Promise<Numbers> => Object.fromEntries(await Promise.all(Object.entries(tensors).map(async ([key, each]) => [key, await each.data()])));

  forEachBackend(() => {
    it.each([[[1]], [[3]], [[5, 1]], [[3, 65]], [[2, 33, 130]], [[0, 4]]])(`${name}(x, residual) agrees with the float64 oracle for shape %j`, async (shape) => {
      const inputs = makeInputs(shape);
      const { y, sum: total } = apply(inputs);
      expect([y.shape, total.shape, y.dtype]).toEqual([shape, shape, 'float32']);
      const values = await read(inputs);
      await expectClose(total, sum64(values), { rtol: 1e-6 });
      // A row of one channel has no spread: layerNorm divides its rounding error by √eps.
      await expectClose(y, y64(shape.at(-1)!)(values), { rtol: 1e-5, atol: shape.at(-1) === 1 ? 1e-4 : 1e-5 });
      dispose([inputs, y, total]);
    });

    it(`${name}(x, residual) has at most twice the float32 error of the norm of a sum`, async () => {
      const inputs = makeInputs([65, 130]);
      const { y, sum: total } = apply(inputs);
      const { x, residual, ...vectors } = inputs;
      const composed = tidy(() => norm(add(x!, residual!), vectors));
      // Two units in the last place of values around 8: the rounding of the result itself.
      await expectNoWorseThan(y, composed, y64(130)(await read(inputs)), { floor: 1e-6 });
      dispose([inputs, y, total, composed]);
    });

    it.each([3, 65])(`the gradients of ${name} match finite differences, whichever result is used (%i channels)`, async (width) => {
      const inputs = makeInputs([5, width]);
      const flat = (z: Tensor) => reshape(z, [z.size]);
      await checkOpGrad<string>({
        op: (p) => tidy(() => { const { y, sum: total } = apply(p); return concat([flat(y), flat(total)]); }),
        oracle64: (p) => Float64Array.of(...y64(width)(p), ...sum64(p)), inputs,
      });
      await checkOpGrad<string>({ op: (p) => apply(p).y, oracle64: y64(width), inputs });
      const { x, residual } = inputs as { x: Tensor; residual: Tensor };
      await checkOpGrad({ op: (p) => op(p.x, p.residual, {}).sum, oracle64: sum64, inputs: { x, residual } });
      await checkOpGrad({ op: (p) => op(p.x, p.x, {}).y, oracle64: (p) => y64(width)({ x: p.x, residual: p.x }), inputs: { x } });
      dispose(inputs);
    });

    it(`the second derivatives of ${name} match finite differences`, async () => {
      const inputs = makeInputs([3, 5]);
      const directions = Object.fromEntries(Object.entries(inputs).map(([key, x], i) => [key, randomArray(x.size, { seed: 21 + i })]));
      const weights = randomArray(15, { seed: 9 });
      // L = Σ c·(y² + sum³): both results, and no input linearly.
      const loss = (p: Tensors) => {
        const { y, sum: total } = apply(p);
        return sum(mul(add(square(y), mul(square(total), total)), tensor(weights, y.shape)));
      };
      const loss64 = (p: Numbers) => {
        const [y, total] = [y64(5)(p), sum64(p)];
        return y.reduce((all, value, i) => all + weights[i]! * (value ** 2 + total[i]! ** 3), 0);
      };
      const slopeAlong = (p: Record<string, Float64Array>) => {
        const at = (step: number) => loss64(Object.fromEntries(Object.entries(p).map(([key, x]) => [key, x.map((value, i) => value + step * directions[key]![i]!)])));
        return (at(1e-3) - at(-1e-3)) / 2e-3;
      };
      const { value, grads } = valueAndGrad((outer: Tensors) => {
        const first = valueAndGrad(loss, outer).grads as Tensors;
        return Object.entries(first).map(([key, gradient]) => sum(mul(gradient, tensor(directions[key]!, gradient.shape)))).reduce((a, b) => add(a, b));
      }, inputs);
      await checkGrad<string>({ loss64: slopeAlong, inputs, gradients: grads as Tensors, step: 1e-3, rtol: 1e-3 });
      dispose([value, grads as Tensors, inputs]);
    });

    it(`${name}(x, residual) passes NaN on within its row`, async () => {
      const [x, residual] = [tensor([[1, NaN, 3], [1, 2, 4]]), tensor([[0, 0, 0], [1, 1, 1]])];
      const { y, sum: total } = op(x, residual, {});
      await expectClose(total, [[1, NaN, 3], [2, 3, 5]]);
      const values = [...await y.data()];
      expect(values.map(Number.isNaN)).toEqual([true, true, true, false, false, false]);
      dispose([x, residual, y, total]);
    });

    it(`${name}(x, residual) adds two tensors and frees the rest, also on error and in gradients`, async () => {
      const inputs = makeInputs([3, 4]);
      const wrong = zeros([3, 5]);
      await expectNoLeak(() => apply(inputs));
      await expectNoLeak(() => apply({ ...inputs, residual: wrong }), { throws: `${name}: residual must have shape [3, 4], got [3, 5]` });
      await expectNoLeak(() => apply({ ...inputs, x: wrong, residual: wrong }), { throws: `${name}: x must have shape [..., 4], got [3, 5]` });
      await expectNoLeak(() => op(wrong, wrong, {}, { eps: 0 }), { throws: `${name}: eps must be a positive number, got 0` });
      await expectNoLeak(() => valueAndGrad((p: Tensors) => { const { y, sum: total } = apply(p); return add(sum(y), sum(total)); }, inputs));
      dispose([inputs, wrong]);
    });

    it(`the layer's applyToSum gives what ${name} gives`, async () => {
      const inputs = makeInputs([2, 5, 8]);
      const { x, residual, ...vectors } = inputs;
      const [actual, expected] = [layer()(8).applyToSum!(x!, residual!, vectors), apply(inputs)];
      await expectClose(actual.y, expected.y, { rtol: 0, atol: 0 });
      await expectClose(actual.sum, expected.sum, { rtol: 0, atol: 0 });
      dispose([inputs, actual, expected]);
    });
  });

  it(`${name}(x, residual) refuses integers by name`, () => {
    const [floats, integers] = [zeros([2, 3]), zeros([2, 3], 'int32')];
    expect(() => op(integers, floats, {})).toThrow(`${name}: x must have dtype float32, got int32`);
    expect(() => op(floats, integers, {})).toThrow(`${name}: residual must have dtype float32, got int32`);
    dispose([floats, integers]);
  });
});
