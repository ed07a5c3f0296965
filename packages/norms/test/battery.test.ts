/**
 * Every norm passes every test here. A new one adds a row: what it is, the same in float64, and as a value for models.
 */
import { initParams, treeEntries, valueAndGrad, type NormFactory, type ParamSpec, type Tree } from '@evenkeel/core-tensor';
import { adaLayerNorm, dynamicTanh, dynamicTanhLayer, layerNorm, layerNormLayer, rmsNorm, rmsNormLayer } from '@evenkeel/norms';
import {
  checkGrad, checkOpGrad, expectClose, expectNoLeak, expectNoWorseThan, forEachBackend, layerNorm64, randomArray, randomTensor, rmsNorm64,
} from '@evenkeel/testing';
import { add, dispose, mul, slice, square, sum, tensor, tidy, type Tensor } from '@tensorflow/tfjs-core';
import { describe, expect, it } from 'vitest';
import { referenceLayerNorm } from '../src/reference/layerNorm.ts';
import { referenceRmsNorm } from '../src/reference/rmsNorm.ts';

type Inputs<T> = { x: T } & Record<string, T>;
type Numbers = ArrayLike<number>;
/** What a parameter is: its shape beside an x of this shape; the values that it starts with; and whether there is no norm without it. */
type ParamRow = { shape: (x: readonly number[]) => number[]; role?: ParamSpec['role']; start: number; required?: true };
type Row = {
  title: string;
  /** What errors call it; default the title. */
  name?: string;
  params: Record<string, ParamRow>;
  /** Absent where the norm has none. */
  eps?: number;
  /** Smallest rank of x; default 1. */
  minRank?: number;
  op: (inputs: Inputs<Tensor>, eps: number) => Tensor;
  /** The same in tfjs ops; absent where the norm itself is no more. */
  reference?: (inputs: Inputs<Tensor>, eps: number) => Tensor;
  oracle64: (inputs: Inputs<Numbers>, shape: readonly number[], eps: number) => Float64Array;
  /** Absent where the norm is of more than x. */
  layer?: { name: string; factory: NormFactory };
};

const widthOf = (x: readonly number[]): number => x.at(-1) as number;
const channels = (role: ParamSpec['role'], start: number): ParamRow => ({ shape: (x) => [widthOf(x)], role, start });
const perSequence: ParamRow = { shape: (x) => [x[0] as number, widthOf(x)], start: 0, required: true };

const rows: Row[] = [
  {
    title: 'layerNorm', params: { weight: channels('norm', 1), bias: channels('bias', 0) }, eps: 1e-5,
    layer: { name: 'layerNormLayer', factory: layerNormLayer() },
    op: ({ x, weight, bias }, eps) => layerNorm(x, { weight, bias }, { eps }),
    reference: (inputs, eps) => referenceLayerNorm(inputs, { eps }),
    oracle64: ({ x, weight, bias }, shape, eps) => layerNorm64(x, widthOf(shape), { weight, bias, eps }),
  },
  {
    title: 'rmsNorm', params: { weight: channels('norm', 1) }, eps: 1e-6,
    layer: { name: 'rmsNormLayer', factory: rmsNormLayer() },
    op: ({ x, weight }, eps) => rmsNorm(x, { weight }, { eps }),
    reference: (inputs, eps) => referenceRmsNorm(inputs, { eps }),
    oracle64: ({ x, weight }, shape, eps) => rmsNorm64(x, widthOf(shape), { weight, eps }),
  },
  {
    title: 'rmsNorm of gains kept as 1 + weight', name: 'rmsNorm', params: { weight: channels('norm', 0) }, eps: 1e-6,
    layer: { name: 'rmsNormLayer', factory: rmsNormLayer({ gainOffset: 1 }) },
    op: ({ x, weight }, eps) => rmsNorm(x, { weight }, { eps, gainOffset: 1 }),
    reference: ({ x, weight }, eps) => referenceRmsNorm({ x, ...(weight && { weight: add(weight, 1) }) }, { eps }),
    oracle64: ({ x, weight }, shape, eps) => rmsNorm64(x, widthOf(shape), { ...(weight && { weight: Float64Array.from(weight, (value) => 1 + value) }), eps }),
  },
  {
    title: 'adaLayerNorm', params: { shift: perSequence, scale: perSequence }, eps: 1e-6, minRank: 2,
    op: ({ x, shift, scale }, eps) => adaLayerNorm(x, { shift: shift!, scale: scale! }, { eps }),
    oracle64: ({ x, shift, scale }, shape, eps) => {
      const [B, C] = [shape[0]!, widthOf(shape)];
      const at = (i: number): number => Math.floor(i / (x.length / B)) * C + (i % C);
      return layerNorm64(x, C, { eps }).map((value, i) => (1 + scale![at(i)]!) * value + shift![at(i)]!);
    },
  },
  {
    title: 'dynamicTanh',
    params: { alpha: { shape: () => [1], role: 'scalar', start: 0.5, required: true }, weight: channels('norm', 1), bias: channels('bias', 0) },
    layer: { name: 'dynamicTanhLayer', factory: dynamicTanhLayer() },
    op: ({ x, alpha, weight, bias }) => dynamicTanh(x, { alpha: alpha!, ...(weight && { weight }), ...(bias && { bias }) }),
    oracle64: ({ x, alpha, weight, bias }, shape) =>
      Float64Array.from(x, (value, i) => Math.tanh(alpha![0]! * value) * (weight?.[i % widthOf(shape)] ?? 1) + (bias?.[i % widthOf(shape)] ?? 0)),
  },
];

const WIDTHS = [1, 3, 65, 130];

/** x whose rows are neither centred nor of unit size, and the parameters of the norm, around what they start with. */
function makeInputs({ params }: Row, shape: readonly number[], { seed = 1, only = () => true }: { seed?: number; only?: (param: ParamRow) => boolean } = {}): Inputs<Tensor> {
  const drawn = Object.entries(params).filter(([, param]) => only(param))
    .map(([name, { shape: shapeOf, start }], i) => [name, randomTensor(shapeOf(shape) as [number], { seed: seed + i + 1, mean: start })] as const);
  return { x: randomTensor([...shape] as [number], { seed, std: 2, mean: 0.5 }), ...Object.fromEntries(drawn) };
}

/** The inputs of the norm at its barest. */
const bare = (row: Row, shape: readonly number[], x: Tensor): Inputs<Tensor> => {
  const { x: drawn, ...params } = makeInputs(row, shape, { only: ({ required }) => required === true });
  dispose(drawn);
  return { x, ...params };
};

const read = async (inputs: Inputs<Tensor>): Promise<Inputs<Numbers>> =>
  Object.fromEntries(await Promise.all(Object.entries(inputs).map(async ([name, values]) => [name, await values.data()] as const))) as Record<string, Numbers> as Inputs<Numbers>;

describe.each(rows)('$title', (row) => {
  const { title, name = title, op, reference, oracle64, eps = 0, minRank = 1, params, layer } = row;

  forEachBackend(() => {
    it.each(WIDTHS)(`${title}: agrees with the float64 oracle and the reference for rows of %i channels`, async (width) => {
      for (const count of [1, 3, 65]) {
        const inputs = makeInputs(row, [count, width]);
        const y = op(inputs, eps);
        // A row of one channel has no spread: layerNorm divides its rounding error by √eps.
        await expectClose(y, oracle64(await read(inputs), [count, width], eps), { rtol: 1e-5, atol: 1e-5 });
        if (reference !== undefined) {
          const composed = reference(inputs, eps);
          await expectClose(y, composed, { rtol: 1e-5, atol: 1e-5 });
          dispose(composed);
        }
        dispose([y, inputs]);
      }
    });

    if (reference !== undefined) it(`${title}: has at most twice the reference's float32 error`, async () => {
      const inputs = makeInputs(row, [65, 130], { seed: 7 });
      const [fused, composed] = [op(inputs, eps), reference(inputs, eps)];
      // Two units in the last place of values around 8: the rounding of the result itself.
      await expectNoWorseThan(fused, composed, oracle64(await read(inputs), [65, 130], eps), { floor: 1e-6 });
      dispose([fused, composed, inputs]);
    });

    it(`${title}: without the parameters it can do without, it is the bare normalisation`, async () => {
      const inputs = bare(row, [3, 65], randomTensor([3, 65], { std: 2, mean: 0.5 }));
      const y = op(inputs, eps);
      await expectClose(y, oracle64(await read(inputs), [3, 65], eps), { atol: 1e-5 });
      dispose([y, inputs]);
    });

    it.each([[3], [2, 3], [2, 1, 3], [2, 2, 5, 3]].filter(({ length }) => length >= minRank).map((shape) => [shape]))(`${title}: keeps the shape %j and float32`, async (shape) => {
      const inputs = makeInputs(row, shape);
      const y = op(inputs, eps);
      expect([y.dtype, y.shape]).toEqual(['float32', shape]);
      await expectClose(y, oracle64(await read(inputs), shape, eps), { atol: 1e-5 });
      dispose([y, inputs]);
    });

    it.each([[5, 3], [5, 65], [2, 3, 7]].map((shape) => [shape]))(`${title}: the gradients match finite differences in x and every parameter (%j)`, async (shape) => {
      const inputs = makeInputs(row, shape, { seed: 3 });
      await checkOpGrad<string>({
        op: (values) => op(values as Inputs<Tensor>, eps),
        oracle64: (values) => oracle64(values as Inputs<Float64Array>, shape, eps),
        inputs,
      });
      dispose(inputs);
    });

    it(`${title}: the gradient in x alone matches finite differences`, async () => {
      const { x, ...fixed } = bare(row, [7, 33], randomTensor([7, 33], { std: 2 }));
      const fixed64 = await read(fixed as Inputs<Tensor>);
      await checkOpGrad({ op: (inputs) => op({ ...inputs, ...fixed }, eps), oracle64: (inputs) => oracle64({ ...inputs, ...fixed64 } as Inputs<Numbers>, [7, 33], eps), inputs: { x: x! } });
      dispose([x!, fixed]);
    });

    it(`${title}: the gradient reaches parameters of an x that is not trained`, async () => {
      const inputs = makeInputs(row, [4, 5]);
      const { x: x64 } = await read(inputs);
      const { x, ...trained } = inputs as Record<string, Tensor>;
      await checkOpGrad<string>({
        op: (values) => op({ x: x as Tensor, ...values }, eps),
        oracle64: (values) => oracle64({ x: x64, ...values } as Inputs<Numbers>, [4, 5], eps),
        inputs: trained,
      });
      dispose([x as Tensor, trained]);
    });

    it(`${title}: the second derivatives match finite differences`, async () => {
      const shape = [3, 5];
      const cotangent = randomArray(15, { seed: 11 });
      const inputs: Record<string, Tensor> = makeInputs(row, shape, { seed: 5 });
      const directions = Object.fromEntries(Object.entries(inputs).map(([key, x], i) => [key, randomArray(x.size, { seed: 21 + i })]));
      // L = Σ c·y²/2, so that no input enters it linearly; the oracle of ⟨∇L, v⟩ is its difference quotient along v.
      const loss = (values: Record<string, Tensor>) => {
        const y = op(values as Inputs<Tensor>, eps);
        return mul(sum(mul(square(y), tensor(cotangent, y.shape))), 0.5);
      };
      const loss64 = (values: Record<string, Float64Array>) =>
        oracle64(values as Inputs<Float64Array>, shape, eps).reduce((total, y, i) => total + (cotangent[i]! * y * y) / 2, 0);
      const slopeAlong = (values: Record<string, Float64Array>) => {
        const at = (step: number) => loss64(Object.fromEntries(Object.entries(values).map(([key, x]) => [key, x.map((value, i) => value + step * directions[key]![i]!)])));
        return (at(1e-3) - at(-1e-3)) / 2e-3;
      };
      const { value, grads } = valueAndGrad((outer: Record<string, Tensor>) => {
        const first = valueAndGrad(loss, outer).grads as Record<string, Tensor>;
        return Object.entries(first).map(([key, gradient]) => sum(mul(gradient, tensor(directions[key]!, gradient.shape)))).reduce((a, b) => add(a, b));
      }, inputs);
      await checkGrad({ loss64: slopeAlong, inputs, gradients: grads as Record<string, Tensor>, step: 1e-3, rtol: 1e-3 });
      dispose([value, grads as Record<string, Tensor>, inputs]);
    });

    it(`${title}: treats rows independently`, async () => {
      const inputs = makeInputs(row, [1, 4, 65]);
      const { x, ...rest } = inputs;
      const all = op(inputs, eps);
      const second = tidy(() => op({ x: slice(x, [0, 1, 0], [1, 1, 65]), ...rest } as Inputs<Tensor>, eps));
      const expected = slice(all, [0, 1, 0], [1, 1, 65]);
      await expectClose(second, expected, { rtol: 0, atol: 0 });
      dispose([all, second, expected, inputs]);
    });

    it(`${title}: of 0 is finite, not NaN, and so is its gradient`, async () => {
      const { x, ...rest } = bare(row, [2, 3], tensor(new Float32Array(6), [2, 3]));
      const { value, grads } = valueAndGrad((inputs: { x: Tensor }) => sum(op({ ...inputs, ...rest } as Inputs<Tensor>, eps)), { x: x! });
      await expectClose(value, oracle64(await read({ x: x!, ...rest }), [2, 3], eps).reduce((total, y) => total + y));
      const gradient = await grads.x.data();
      expect(gradient.every(Number.isFinite)).toBe(true);
      dispose([x!, value, grads.x, rest]);
    });

    it(`${title}: survives rows of 1e-10 and of 1e10`, async () => {
      const inputs = bare(row, [2, 65], tensor(new Float32Array([...randomArray(65, { std: 1e-10 }), ...randomArray(65, { std: 1e10 })]), [2, 65]));
      const y = op(inputs, eps);
      await expectClose(y, oracle64(await read(inputs), [2, 65], eps), { rtol: 1e-4, atol: 1e-6 });
      dispose([y, inputs]);
    });

    it(`${title}: adds one tensor and frees the rest, also on error and in gradients`, async () => {
      const inputs = makeInputs(row, [3, 4]);
      const wrong = tensor(new Float32Array(5));
      await expectNoLeak(() => op(inputs, eps));
      if ('weight' in params) await expectNoLeak(() => op({ ...inputs, weight: wrong }, eps), { throws: `${name}: x must have shape [..., 5], got [3, 4]` });
      if (eps > 0) await expectNoLeak(() => op(inputs, 0), { throws: `${name}: eps must be a positive number, got 0` });
      await expectNoLeak(() => valueAndGrad((values: Record<string, Tensor>) => sum(op(values as Inputs<Tensor>, eps)), inputs as Record<string, Tensor>));
      dispose([wrong, inputs]);
    });

    if (layer !== undefined) it(`${title}: its layer makes parameters with their first values and applies them`, async () => {
      const made = layer.factory(65, { block: 2 });
      const initial = initParams(made.specs, 1, made.initialiserOf);
      const input = randomTensor([3, 65], { std: 2 });
      const start = Object.fromEntries(Object.entries(params).map(([param, { shape, start: first }]) => [param, new Float64Array(shape([65])[0]!).fill(first)]));
      const y = made.apply(input, initial);
      await expectClose(y, oracle64({ x: await input.data(), ...start }, [3, 65], eps), { atol: 1e-5 });
      dispose([y, input, initial as never]);
    });
  });

  it(`${title}: rejects integers and scalars by name`, () => {
    const [integers, scalar] = [tensor([1, 2], [1, 2], 'int32'), tensor(1)];
    const { x, ...rest } = makeInputs(row, [1, 2]);
    expect(() => op({ ...rest, x: integers }, eps)).toThrow(`${name}: x must have dtype float32, got int32`);
    expect(() => op({ ...rest, x: scalar }, eps)).toThrow(`${name}: x must have rank ≥ 1, got shape []`);
    dispose([integers, scalar, x!, rest]);
  });

  if (layer !== undefined) it(`${title}: its layer says of each parameter its shape, role and block`, () => {
    const { factory, name: factoryName } = layer;
    const specs = treeEntries(factory(8, { block: 3 }).specs as Tree<ParamSpec>);
    expect(specs).toEqual(Object.entries(params).map(([param, { shape, role }]) =>
      [param, { shape: shape([8]), axes: param === 'alpha' ? 'one' : 'dim', role, block: 3 }]));
    expect(treeEntries(factory(8).specs as Tree<ParamSpec>).every(([, spec]) => !('block' in spec))).toBe(true);
    expect(treeEntries(factory(8, { outAxis: 'headDim' }).specs as Tree<ParamSpec>).at(-1)![1].axes).toBe('headDim');
    expect(() => factory(0)).toThrow(`${factoryName}: dim must be an integer ≥ 1, got 0`);
  });
});
