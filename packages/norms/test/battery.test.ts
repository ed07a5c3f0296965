/**
 * Every norm passes every test here. A new one adds a row: what it is, the same in float64, and as a value for models.
 */
import { initParams, treeEntries, valueAndGrad, type NormFactory, type ParamSpec, type Tree } from '@evenkeel/core-tensor';
import { layerNorm, layerNormLayer, rmsNorm, rmsNormLayer } from '@evenkeel/norms';
import {
  checkGrad, checkOpGrad, expectClose, expectNoLeak, expectNoWorseThan, forEachBackend, layerNorm64, randomArray, randomTensor, rmsNorm64,
} from '@evenkeel/testing';
import { add, dispose, mul, slice, square, sum, tensor, tidy, type Tensor } from '@tensorflow/tfjs-core';
import { describe, expect, it } from 'vitest';
import { referenceLayerNorm } from '../src/reference/layerNorm.ts';
import { referenceRmsNorm } from '../src/reference/rmsNorm.ts';

type Inputs<T> = { x: T; weight?: T; bias?: T };
type Row = {
  name: string;
  params: readonly ('weight' | 'bias')[];
  eps: number;
  op: (inputs: Inputs<Tensor>, eps: number) => Tensor;
  reference: (inputs: Inputs<Tensor>, eps: number) => Tensor;
  oracle64: (inputs: Inputs<ArrayLike<number>>, columns: number, eps: number) => Float64Array;
  layer: NormFactory;
};

const rows: Row[] = [
  {
    name: 'layerNorm', params: ['weight', 'bias'], eps: 1e-5, layer: layerNormLayer(),
    op: ({ x, weight, bias }, eps) => layerNorm(x, { weight, bias }, { eps }),
    reference: (inputs, eps) => referenceLayerNorm(inputs, { eps }),
    oracle64: ({ x, weight, bias }, columns, eps) => layerNorm64(x, columns, { weight, bias, eps }),
  },
  {
    name: 'rmsNorm', params: ['weight'], eps: 1e-6, layer: rmsNormLayer(),
    op: ({ x, weight }, eps) => rmsNorm(x, { weight }, { eps }),
    reference: (inputs, eps) => referenceRmsNorm(inputs, { eps }),
    oracle64: ({ x, weight }, columns, eps) => rmsNorm64(x, columns, { weight, eps }),
  },
];

const WIDTHS = [1, 3, 65, 130];

/** x of `count` rows that are neither centred nor of unit size, and the parameters of the norm. */
function makeInputs({ params }: Row, count: number, width: number, seed = 1): Inputs<Float32Array> {
  const x = randomArray(count * width, { seed, std: 2, mean: 0.5 });
  return { x, ...Object.fromEntries(params.map((name, i) => [name, randomArray(width, { seed: seed + i + 1, mean: 1 })])) };
}

function toTensors(inputs: Inputs<Float32Array>, xShape: number[]): Inputs<Tensor> {
  return Object.fromEntries(Object.entries(inputs).map(([name, values]) => [name, tensor(values, name === 'x' ? xShape : [values.length])])) as Inputs<Tensor>;
}

const named = (inputs: Inputs<Tensor>): Record<string, Tensor> => inputs as Record<string, Tensor>;

describe.each(rows)('$name', (row) => {
  const { name, op, reference, oracle64, eps, params, layer } = row;

  forEachBackend(() => {
    it.each(WIDTHS)(`${name}(x) agrees with the float64 oracle and the reference for rows of %i channels`, async (width) => {
      for (const count of [1, 3, 65]) {
        const inputs = makeInputs(row, count, width);
        const tensors = toTensors(inputs, [count, width]);
        const y = op(tensors, eps);
        // A row of one channel has no spread: layerNorm divides its rounding error by √eps.
        await expectClose(y, oracle64(inputs, width, eps), { rtol: 1e-5, atol: 1e-5 });
        const composed = reference(tensors, eps);
        await expectClose(y, composed, { rtol: 1e-5, atol: 1e-5 });
        dispose([y, composed, named(tensors)]);
      }
    });

    it(`${name}(x) has at most twice the reference's float32 error`, async () => {
      const inputs = makeInputs(row, 65, 130, 7);
      const tensors = toTensors(inputs, [65, 130]);
      const [fused, composed] = [op(tensors, eps), reference(tensors, eps)];
      // Two units in the last place of values around 8: the rounding of the result itself.
      await expectNoWorseThan(fused, composed, oracle64(inputs, 130, eps), { floor: 1e-6 });
      dispose([fused, composed, named(tensors)]);
    });

    it(`${name}(x) without parameters is the bare normalisation`, async () => {
      const { x } = makeInputs(row, 3, 65);
      const tensors = toTensors({ x }, [3, 65]);
      const y = op(tensors, eps);
      await expectClose(y, oracle64({ x }, 65, eps), { atol: 1e-5 });
      dispose([y, tensors.x]);
    });

    it.each([[3], [2, 3], [2, 1, 3], [2, 2, 5, 3]].map((shape) => [shape]))(`${name}(x) keeps the shape %j and float32`, async (shape) => {
      const inputs = makeInputs(row, shape.reduce((size, length) => size * length) / 3, 3);
      const tensors = toTensors(inputs, shape);
      const y = op(tensors, eps);
      expect([y.dtype, y.shape]).toEqual(['float32', shape]);
      await expectClose(y, oracle64(inputs, 3, eps), { atol: 1e-5 });
      dispose([y, named(tensors)]);
    });

    it.each([3, 65])(`the gradients of ${name} match finite differences in x and every parameter (%i channels)`, async (width) => {
      const tensors = toTensors(makeInputs(row, 5, width, 3), [5, width]);
      await checkOpGrad<string>({
        op: (inputs) => op(inputs as Inputs<Tensor>, eps),
        oracle64: (inputs) => oracle64(inputs as Inputs<Float64Array>, width, eps),
        inputs: named(tensors),
      });
      dispose(named(tensors));
    });

    it(`the gradient of ${name} in x alone matches finite differences`, async () => {
      const x = randomTensor([7, 33], { std: 2 });
      await checkOpGrad({ op: (inputs) => op(inputs, eps), oracle64: (inputs) => oracle64(inputs, 33, eps), inputs: { x } });
      dispose(x);
    });

    it(`the gradient of ${name} reaches parameters of an x that is not trained`, async () => {
      const inputs = makeInputs(row, 4, 5);
      const { x, ...trained } = toTensors(inputs, [4, 5]) as Record<string, Tensor>;
      await checkOpGrad<string>({
        op: (values) => op({ x: x as Tensor, ...values }, eps),
        oracle64: (values) => oracle64({ x: inputs.x, ...values }, 5, eps),
        inputs: trained,
      });
      dispose([x as Tensor, trained]);
    });

    it(`the second derivatives of ${name} match finite differences`, async () => {
      const width = 5;
      const cotangent = randomArray(3 * width, { seed: 11 });
      const tensors = named(toTensors(makeInputs(row, 3, width, 5), [3, width]));
      const directions = Object.fromEntries(Object.entries(tensors).map(([key, x], i) => [key, randomArray(x.size, { seed: 21 + i })]));
      // L = Σ c·y²/2, so that no input enters it linearly; the oracle of ⟨∇L, v⟩ is its difference quotient along v.
      const loss = (inputs: Record<string, Tensor>) => {
        const y = op(inputs as Inputs<Tensor>, eps);
        return mul(sum(mul(square(y), tensor(cotangent, y.shape))), 0.5);
      };
      const loss64 = (inputs: Record<string, Float64Array>) =>
        oracle64(inputs as Inputs<Float64Array>, width, eps).reduce((total, y, i) => total + (cotangent[i]! * y * y) / 2, 0);
      const slopeAlong = (inputs: Record<string, Float64Array>) => {
        const at = (step: number) => loss64(Object.fromEntries(Object.entries(inputs).map(([key, x]) => [key, x.map((value, i) => value + step * directions[key]![i]!)])));
        return (at(1e-3) - at(-1e-3)) / 2e-3;
      };
      const { value, grads } = valueAndGrad((outer: Record<string, Tensor>) => {
        const first = valueAndGrad(loss, outer).grads as Record<string, Tensor>;
        return Object.entries(first).map(([key, gradient]) => sum(mul(gradient, tensor(directions[key]!, gradient.shape)))).reduce((a, b) => add(a, b));
      }, tensors);
      await checkGrad({ loss64: slopeAlong, inputs: tensors, gradients: grads as Record<string, Tensor>, step: 1e-3, rtol: 1e-3 });
      dispose([value, grads as Record<string, Tensor>, tensors]);
    });

    it(`${name}(x) treats rows independently`, async () => {
      const tensors = toTensors(makeInputs(row, 4, 65), [4, 65]);
      const { x, ...rest } = tensors;
      const all = op(tensors, eps);
      const second = tidy(() => op({ x: slice(x, [1, 0], [1, 65]), ...rest }, eps));
      const expected = slice(all, [1, 0], [1, 65]);
      await expectClose(second, expected, { rtol: 0, atol: 0 });
      dispose([all, second, expected, named(tensors)]);
    });

    it(`${name}(0) is finite, not NaN, and so is its gradient`, async () => {
      const x = tensor(new Float32Array(6), [2, 3]);
      const { value, grads } = valueAndGrad((inputs: { x: Tensor }) => sum(op(inputs, eps)), { x });
      await expectClose(value, 0);
      const gradient = await grads.x.data();
      expect(gradient.every(Number.isFinite)).toBe(true);
      dispose([x, value, grads.x]);
    });

    it(`${name}(x) survives rows of 1e-10 and of 1e10`, async () => {
      const x = new Float32Array([...randomArray(65, { std: 1e-10 }), ...randomArray(65, { std: 1e10 })]);
      const tensors = toTensors({ x }, [2, 65]);
      const y = op(tensors, eps);
      await expectClose(y, oracle64({ x }, 65, eps), { rtol: 1e-4, atol: 1e-6 });
      dispose([y, tensors.x]);
    });

    it(`${name}(x) adds one tensor and frees the rest, also on error and in gradients`, async () => {
      const tensors = toTensors(makeInputs(row, 3, 4), [3, 4]);
      const wrong = tensor(new Float32Array(5));
      await expectNoLeak(() => op(tensors, eps));
      await expectNoLeak(() => op({ ...tensors, weight: wrong }, eps), { throws: `${name}: x must have shape [..., 5], got [3, 4]` });
      await expectNoLeak(() => op(tensors, 0), { throws: `${name}: eps must be a positive number, got 0` });
      await expectNoLeak(() => valueAndGrad((inputs: Record<string, Tensor>) => sum(op(inputs as Inputs<Tensor>, eps)), named(tensors)));
      dispose([wrong, named(tensors)]);
    });

    it(`${name}Layer() makes parameters that start as the identity and applies them`, async () => {
      const made = layer(65, { block: 2 });
      const initial = initParams(made.specs, 1, made.initialiserOf);
      const { x } = makeInputs(row, 3, 65);
      const input = tensor(x, [3, 65]);
      const y = made.apply(input, initial);
      await expectClose(y, oracle64({ x }, 65, eps), { atol: 1e-5 });
      dispose([y, input, initial as never]);
    });
  });

  it(`${name}(x) rejects integers and scalars by name`, () => {
    const [integers, scalar] = [tensor([1, 2], [2], 'int32'), tensor(1)];
    expect(() => op({ x: integers }, eps)).toThrow(`${name}: x must have dtype float32, got int32`);
    expect(() => op({ x: scalar }, eps)).toThrow(`${name}: x must have rank ≥ 1, got shape []`);
    dispose([integers, scalar]);
  });

  it(`${name}Layer() says of each parameter its axes, role and block`, () => {
    const specs = treeEntries(layer(8, { block: 3 }).specs as Tree<ParamSpec>);
    expect(specs).toEqual(params.map((param) => [param, { shape: [8], axes: 'dim', role: param === 'weight' ? 'norm' : 'bias', block: 3 }]));
    expect(treeEntries(layer(8).specs as Tree<ParamSpec>).every(([, spec]) => !('block' in spec))).toBe(true);
    expect(() => layer(0)).toThrow(`${name}Layer: dim must be an integer ≥ 1, got 0`);
  });
});
