import { initParams, normal, treeEntries, valueAndGrad, xavier, type LinearEpilogue, type ParamSpec, type Tree } from '@evenkeel/core-tensor';
import { linear, linearLayer } from '@evenkeel/layers';
import { checkOpGrad, expectClose, expectNoLeak, forEachBackend, gelu64, linear64, randomTensor, readValues, silu64, useBackend } from '@evenkeel/testing';
import { customGrad, dispose, grad, grads, mul, ones, sin, square, sum, zeros, type Tensor } from '@tensorflow/tfjs-core';
import { describe, expect, it } from 'vitest';

type Epilogue = { options: LinearEpilogue; withResidual: boolean };

const epilogues: Epilogue[] = [
  { options: { activation: 'gelu' }, withResidual: false },
  { options: { activation: 'geluTanh' }, withResidual: false },
  { options: { activation: 'silu', scale: 0.5 }, withResidual: true },
  { options: { scale: -1.5 }, withResidual: false },
  { options: {}, withResidual: true },
];

const functions64 = { gelu: gelu64, geluTanh: (x: ArrayLike<number>) => gelu64(x, 'tanh'), silu: silu64 };

/** activation(scale · x weightᵀ + bias) + residual in float64; `width` is the number of inputs. */
function epilogue64(
  x: ArrayLike<number>, weight: ArrayLike<number>, bias: ArrayLike<number>, residual: ArrayLike<number> | undefined, width: number,
  { activation, scale = 1 }: LinearEpilogue,
): Float64Array {
  const y = linear64(Float64Array.from(x, (value) => value * scale), weight, bias, width);
  return (activation === undefined ? y : functions64[activation](y)).map((value, i) => value + (residual?.[i] ?? 0));
}

forEachBackend((backend) => {
  it.each([[1, 1, 1], [3, 65, 5], [65, 3, 130], [130, 130, 3]])('linear(x) agrees with the float64 oracle: %i rows, %i to %i channels', async (n, i, o) => {
    const [x, weight, bias] = [randomTensor([n, i], { seed: 1 }), randomTensor([o, i], { seed: 2 }), randomTensor([o], { seed: 3 })];
    const [y, plain] = [linear(x, { weight, bias }), linear(x, { weight })];
    const [xs, ws, bs] = [await x.data(), await weight.data(), await bias.data()];
    const atol = 2e-7 * i * 10; // i products of about 1, each rounded
    await expectClose(y, linear64(xs, ws, bs, i), { atol });
    await expectClose(plain, linear64(xs, ws, undefined, i), { atol });
    dispose([x, weight, bias, y, plain]);
  });

  it.each([[[3]], [[2, 3]], [[2, 5, 3]], [[2, 1, 5, 3]]])('linear(x) maps the last axis of shape %j', async (shape) => {
    const [x, weight, bias] = [randomTensor(shape as [number], { seed: 1 }) as Tensor, randomTensor([4, 3], { seed: 2 }), randomTensor([4], { seed: 3 })];
    const y = linear(x, { weight, bias });
    expect(y.shape).toEqual([...shape.slice(0, -1), 4]);
    await expectClose(y, linear64(await x.data(), await weight.data(), await bias.data(), 3), { atol: 1e-5 });
    dispose([x, weight, bias, y]);
  });

  it('the gradients of linear match finite differences in x, weight and bias', async () => {
    const inputs = { x: randomTensor([2, 3, 5], { seed: 1 }) as Tensor, weight: randomTensor([4, 5], { seed: 2 }) as Tensor, bias: randomTensor([4], { seed: 3 }) as Tensor };
    await checkOpGrad<'x' | 'weight' | 'bias'>({
      op: ({ x, weight, bias }) => linear(x, { weight, bias }),
      oracle64: ({ x, weight, bias }) => linear64(x, weight, bias, 5),
      inputs,
    });
    dispose(inputs);
  });

  it('the gradient of linear without bias matches finite differences', async () => {
    const inputs = { x: randomTensor([3, 65], { seed: 1 }) as Tensor, weight: randomTensor([3, 65], { seed: 2 }) as Tensor };
    await checkOpGrad<'x' | 'weight'>({
      op: ({ x, weight }) => linear(x, { weight }), oracle64: ({ x, weight }) => linear64(x, weight, undefined, 65), inputs,
    });
    dispose(inputs);
  });

  it.each(epilogues)('linear(x, params, $options) is the activation of the scaled map, plus the residual', async ({ options, withResidual }) => {
    for (const [n, i, o] of [[1, 1, 1], [3, 65, 5], [65, 3, 130], [130, 130, 3]] as const) {
      const [x, weight, bias, added] = [randomTensor([n, i], { seed: 1 }), randomTensor([o, i], { seed: 2 }), randomTensor([o], { seed: 3 }), randomTensor([n, o], { seed: 4 })];
      const residual = withResidual ? added : undefined;
      const y = linear(x, { weight, bias }, { ...options, residual });
      await expectClose(y, epilogue64(await x.data(), await weight.data(), await bias.data(), await residual?.data(), i, options), { atol: 2e-6 * i, rtol: 1e-5 });
      await expectNoLeak(() => linear(x, { weight, bias }, { ...options, residual }));
      dispose([x, weight, bias, added, y]);
    }
  });

  it.each(epilogues)('the gradients of linear(x, params, $options) match finite differences', async ({ options }) => {
    const inputs = {
      x: randomTensor([2, 3, 5], { seed: 1 }) as Tensor, weight: randomTensor([4, 5], { seed: 2 }) as Tensor,
      bias: randomTensor([4], { seed: 3 }) as Tensor, residual: randomTensor([2, 3, 4], { seed: 4 }) as Tensor,
    };
    await checkOpGrad<keyof typeof inputs>({
      op: ({ x, weight, bias, residual }) => linear(x, { weight, bias }, { ...options, residual }),
      oracle64: ({ x, weight, bias, residual }) => epilogue64(x, weight, bias, residual, 5, options),
      inputs,
    });
    await expectNoLeak(() => valueAndGrad((p: typeof inputs) => sum(linear(p.x, p, { ...options, residual: p.residual })), inputs));
    dispose(inputs);
  });

  // tfjs' WebGPU backend cannot multiply empty matrices.
  if (backend !== 'evenkeel-webgpu') {
    it.each([[0, 3, 2], [2, 0, 3], [2, 3, 0]])('linear(x) and its gradients are empty or 0 for %i rows, %i to %i channels', async (n, i, o) => {
      const inputs = { x: zeros([n, i]) as Tensor, weight: zeros([o, i]) as Tensor, bias: ones([o]) as Tensor };
      const { value, grads: found } = valueAndGrad((p: typeof inputs) => sum(linear(p.x, p)), inputs);
      await expectClose(value, n * o, { atol: 0 });
      await expectClose(found.x, inputs.x, { atol: 0 });
      await expectClose(found.weight, inputs.weight, { atol: 0 });
      await expectClose(found.bias, new Float32Array(o).fill(n), { atol: 0 });
      dispose([inputs, value, found]);
    });
  }

  it('linear(x) adds one tensor and frees the rest, also on error and in gradients', async () => {
    const [x, weight, bias] = [randomTensor([2, 3]) as Tensor, randomTensor([4, 3]) as Tensor, randomTensor([4]) as Tensor];
    await expectNoLeak(() => linear(x, { weight, bias }));
    await expectNoLeak(() => linear(x, { weight, bias: x }), { throws: 'linear: bias must have shape [4], got [2, 3]' });
    await expectNoLeak(() => grads((a: Tensor, b: Tensor, c: Tensor) => sum(linear(a, { weight: b, bias: c })))([x, weight, bias]));
    await expectNoLeak(() => grad((a: Tensor) => sum(linear(a, { weight, bias })))(x));
    dispose([x, weight, bias]);
  });
});

describe('linear', () => {
  it('linear(x, params, { residual }) leaves the gradient it was given alone under tfjs\' own grad', async () => {
    await useBackend('evenkeel-wasm');
    const [weight, dy, x] = [ones([3, 3]), ones([2, 3]), ones([2, 3])];
    const dx = grad((r: Tensor) => { const s = square(r); return linear(sin(s), { weight }, { residual: s }); })(x, dy);
    expect(dy.isDisposed).toBe(false);
    await expectClose(dx, new Float32Array(6).fill(2 + 2 * Math.cos(1) * 3), { rtol: 1e-5 });
    dispose([weight, dy, x, dx]);
    await useBackend('cpu');
  });

  it('linear gives all its gradients to a walk of tfjs within a gradient of ours', async () => {
    await useBackend('evenkeel-wasm');
    const f = customGrad(((x: Tensor, save: (tensors: Tensor[]) => void) => {
      save([x]);
      return { value: sin(x), gradFunc: (dy: Tensor, [kept]: Tensor[]) => mul(dy, sum(grad((w) => sum(linear(kept as Tensor, { weight: w })))(ones([3, 3])))) };
    }) as never);
    const x = ones([2, 3]);
    const { value, grads: found } = valueAndGrad((p: { x: Tensor }) => sum(f(p.x)), { x });
    await expectClose(found.x, new Float32Array(6).fill(18));
    dispose([x, value, found.x]);
    await useBackend('cpu');
  });

  it('linear([2, 5]) with a weight of 4 inputs names x, [..., 4] and [2, 5]', () => {
    const [x, weight, ids] = [zeros([2, 5]), zeros([3, 4]), zeros([2, 4], 'int32')];
    const [fitting, integers] = [zeros([2, 4]), zeros([3, 4], 'int32')];
    const counts = zeros([3], 'int32');
    expect(() => linear(x, { weight })).toThrow('linear: x must have shape [..., 4], got [2, 5]');
    expect(() => linear(x, { weight: zeros([4]) })).toThrow('linear: weight must have rank 2, got shape [4]');
    expect(() => linear(ids, { weight })).toThrow('linear: x must have dtype float32, got int32');
    expect(() => linear(fitting, { weight: integers })).toThrow('linear: weight must have dtype float32, got int32');
    expect(() => linear(fitting, { weight, bias: counts })).toThrow('linear: bias must have dtype float32, got int32');
    expect(() => linear(fitting, { weight }, { residual: x })).toThrow('linear: residual must have shape [2, 3], got [2, 5]');
    expect(() => linear(fitting, { weight }, { residual: ids })).toThrow('linear: residual must have dtype float32, got int32');
    expect(() => linear(fitting, { weight }, { activation: 'tanh' as never })).toThrow('linear: activation must be one of');
    expect(() => linear(fitting, { weight }, { scale: NaN })).toThrow('linear: scale must be');
    dispose([x, weight, ids, fitting, integers, counts]);
  });
});

describe('linearLayer', () => {
  it('linearLayer() says of each parameter its shape, axes, role, block and fan-in', () => {
    expect(treeEntries(linearLayer()(3, 5, { block: 2 }).specs as Tree<ParamSpec>)).toEqual([
      ['weight', { shape: [5, 3], axes: 'out in', role: 'hidden', block: 2, fanIn: 3 }],
      ['bias', { shape: [5], axes: 'out', role: 'bias', block: 2 }],
    ]);
    expect(treeEntries(linearLayer({ bias: false })(3, 5, { role: 'head' }).specs as Tree<ParamSpec>)).toEqual([
      ['weight', { shape: [5, 3], axes: 'out in', role: 'head', fanIn: 3 }],
    ]);
    expect(() => linearLayer()(0, 5)).toThrow('linearLayer: inDim must be an integer ≥ 1, got 0');
    expect(() => linearLayer()(5, -1)).toThrow('linearLayer: outDim must be an integer ≥ 1, got -1');
  });

  /** Standard deviation of a fresh 200 × 200 weight, to about 0.4 %. */
  async function startingStd(layer: ReturnType<ReturnType<typeof linearLayer>>): Promise<number> {
    const params = initParams(layer.specs, 1, layer.initialiserOf) as Tree<Tensor> as { weight: Tensor; bias: Tensor };
    const { data } = await readValues(params.weight);
    await expectClose(params.bias, new Float32Array(params.bias.size));
    dispose(params);
    return Math.sqrt(data.reduce((total, value) => total + value ** 2, 0) / data.length);
  }

  it('linearLayer() starts as N(0, 0.02²), smaller where it writes to the residual stream, or as told', async () => {
    const factory = linearLayer();
    expect(await startingStd(factory(200, 200))).toBeCloseTo(0.02, 3);
    expect(await startingStd(factory(200, 200, { residualDepth: 8 }))).toBeCloseTo(0.005, 4);
    expect(await startingStd(linearLayer({ initialiser: normal({ std: 0.5 }) })(200, 200, { residualDepth: 8 }))).toBeCloseTo(0.5, 2);
    expect(await startingStd(linearLayer({ initialiser: xavier })(200, 200))).toBeCloseTo(Math.sqrt(2 / 400), 3);
  });

  it('linearLayer() applies its parameters', async () => {
    const layer = linearLayer()(3, 5);
    const params = initParams(layer.specs, 1, layer.initialiserOf) as Tree<Tensor> as { weight: Tensor; bias: Tensor };
    const x = randomTensor([2, 3]);
    const [y, expected] = [layer.apply(x, params), linear(x, params)];
    await expectClose(y, expected, { rtol: 0, atol: 0 });
    dispose([params, x, y, expected]);
  });
});
