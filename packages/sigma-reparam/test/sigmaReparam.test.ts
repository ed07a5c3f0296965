import { initParams, ones, rematerialise, treeEntries, truncatedNormal, valueAndGrad, zeros, type LinearEpilogue, type LinearFactory, type Params, type ParamSpec, type Tree } from '@evenkeel/core-tensor';
import { linearLayer, transformerBlock } from '@evenkeel/layers';
import { layerNormLayer } from '@evenkeel/norms';
import { flashAttention } from '@evenkeel/flash-attention';
import { sigmaReparam, singularVectors, spectralNorm } from '@evenkeel/sigma-reparam';
import { checkOpGrad, expectClose, expectNoLeak, forEachBackend, gelu64, linear64, randomTensor, silu64 } from '@evenkeel/testing';
import { dispose, eye, sum, tensor1d, zeros as zerosTensor, type Tensor, type Variable } from '@tensorflow/tfjs-core';
import { describe, expect, it } from 'vitest';
import { effective64, numberOf, valuesOf } from './oracle64.ts';

type Vectors = { u: Variable; v: Variable };
type Made = { params: { weight: Variable; gamma: Variable; bias: Variable }; state: Vectors; layer: ReturnType<LinearFactory> };

function make(factory: LinearFactory, inDim: number, outDim: number, place = {}): Made {
  const layer = factory(inDim, outDim, place);
  const params = initParams(layer.specs, 3, layer.initialiserOf);
  return { layer, params: params as Params as unknown as Made['params'], state: layer.state!.init(params) as unknown as Vectors };
}

const free = ({ params, state }: Made): void => dispose([params, state] as never);

const ACTIVATIONS = { gelu: gelu64, geluTanh: (x: ArrayLike<number>) => gelu64(x, 'tanh'), silu: silu64 };

const EPILOGUES: { options: LinearEpilogue; withResidual: boolean }[] = [
  { options: {}, withResidual: false },
  { options: { activation: 'gelu' }, withResidual: false },
  { options: { activation: 'geluTanh', scale: -0.5 }, withResidual: true },
  { options: { activation: 'silu' }, withResidual: true },
];

forEachBackend(() => {
  it.each(EPILOGUES)('the layer is activation(scale · (gamma/sigma) · x Wᵀ + bias) + residual, with $options', async ({ options, withResidual }) => {
    for (const [n, i, o] of [[1, 1, 1], [3, 65, 5], [65, 3, 130]] as const) {
      const made = make(sigmaReparam({ initialiser: truncatedNormal({ std: 1 }) }), i, o);
      made.params.bias.assign(randomTensor([o], { seed: 3 }) as never);
      made.params.gamma.assign(tensor1d([1.3]));
      const [x, added] = [randomTensor([n, i], { seed: 1 }), randomTensor([n, o], { seed: 4 })];
      const residual = withResidual ? added : undefined;
      const y = made.layer.applyWith!(x, made.params, { ...options, residual }, { state: made.state });
      const { weight, gamma, bias, u, v } = await valuesOf({ ...made.params, ...made.state });
      const { activation, scale = 1 } = options;
      const scaled = effective64({ values: weight, rows: o, columns: i }, gamma[0]! * scale, u, v);
      const before = linear64(await x.data(), scaled, bias, i);
      const after = activation === undefined ? before : ACTIVATIONS[activation](before);
      const plus = await added.data();
      await expectClose(y, after.map((value, at) => value + (withResidual ? plus[at]! : 0)), { rtol: 2e-5, atol: 1e-5 });
      dispose([x, added, y]);
      free(made);
    }
  });

  it('the gradients of the layer in x, weight, gamma and bias match finite differences', async () => {
    const made = make(sigmaReparam(), 5, 4);
    const { u, v } = await valuesOf(made.state);
    const inputs = { x: randomTensor([2, 3, 5], { seed: 1 }) as Tensor, weight: randomTensor([4, 5], { seed: 2 }) as Tensor, gamma: tensor1d([0.7]) as Tensor, bias: randomTensor([4], { seed: 3 }) as Tensor };
    for (const activation of [undefined, 'gelu', 'geluTanh', 'silu'] as const) {
      await checkOpGrad<keyof typeof inputs>({
        op: ({ x, ...params }) => made.layer.applyWith!(x, params, { activation }, { state: made.state }),
        oracle64: ({ x, weight, gamma, bias }) => {
          const y = linear64(x, effective64({ values: weight, rows: 4, columns: 5 }, gamma[0]!, u, v), bias, 5);
          return activation === undefined ? y : Float64Array.from(ACTIVATIONS[activation](y));
        },
        inputs,
      });
    }
    dispose(inputs);
    free(made);
  });

  it.each([1, 65])('a layer applied to rows of shape [..., %i] keeps the axes before them, with and without bias', async (i) => {
    for (const bias of [true, false]) {
      const made = make(sigmaReparam({ bias }), i, 3);
      const x = randomTensor([2, 1, 4, i]) as Tensor;
      await expectNoLeak(() => {
        const y = made.layer.apply(x, made.params, { state: made.state });
        expect(y.shape).toEqual([2, 1, 4, 3]);
        return y;
      });
      x.dispose();
      free(made);
    }
  });

  it('gammaInit one starts every matrix at spectral norm 1, whatever its initialiser', async () => {
    for (const initialiser of [undefined, truncatedNormal({ std: 3 })]) {
      const made = make(sigmaReparam({ initialiser, initIterations: 200 }), 20, 30);
      await expectClose(made.params.gamma, [1], { rtol: 0, atol: 0 });
      expect(await numberOf(() => spectralNorm(made.layer.apply(eye(20), made.params, { state: made.state }), { iterations: 200 }))).toBeCloseTo(1, 4); // Ŵᵀ
      free(made);
    }
  });

  it('gammaInit spectral starts as the plain layer of the same seed and place does', async () => {
    for (const place of [{}, { residualDepth: 8 }]) {
      const plain = linearLayer()(20, 30, place);
      const params = initParams(plain.specs, 3, plain.initialiserOf);
      const made = make(sigmaReparam({ gammaInit: 'spectral' }), 20, 30, place);
      const x = randomTensor([7, 20], { std: 10 });
      const [y, expected] = [made.layer.apply(x, made.params, { state: made.state }), plain.apply(x, params)];
      await expectClose(y, expected, { rtol: 1e-5, atol: 1e-6 });
      dispose([params as never, x, y, expected]);
      free(made);
    }
  });

  it('the scaled start of DeepNorm leaves gammaInit spectral what it is, and gammaInit one at 1', async () => {
    const block = (linear: LinearFactory) => transformerBlock({ dim: 12, numHeads: 3, norm: layerNormLayer(), attention: flashAttention, linear, placement: 'deepnorm', block: 0, depth: 6 });
    const [plain, ours] = [block(linearLayer()), block(sigmaReparam({ gammaInit: 'spectral' }))];
    const [params, reparametrised] = [plain, ours].map(({ specs, initialiserOf }) => initParams(specs, 3, initialiserOf)) as [Params, Params];
    const state = ours.state!.init(reparametrised);
    const x = randomTensor([2, 5, 12]);
    const [y, expected] = [ours.apply(x, reparametrised, { state }), plain.apply(x, params)];
    await expectClose(y, expected, { rtol: 1e-4, atol: 1e-5 });
    const one = block(sigmaReparam());
    const started = initParams(one.specs, 3, one.initialiserOf) as Params;
    for (const [path, gamma] of treeEntries<Tensor>(started).filter(([each]) => each.endsWith('gamma'))) expect(await gamma.data(), path).toEqual(Float32Array.of(1));
    dispose([params, reparametrised, state, x, y, expected, started] as never);
  });

  it('state.init makes two untrained unit vectors, state.update takes one step of the power iteration, and nothing else writes them', async () => {
    const made = make(sigmaReparam({ initIterations: 3 }), 9, 6);
    const [first, next] = [singularVectors(made.params.weight, { iterations: 3 }), singularVectors(made.params.weight, { iterations: 4 })];
    expect([made.state.u.trainable, made.state.v.trainable]).toEqual([false, false]);
    expect([made.state.u.shape, made.state.v.shape]).toEqual([[6], [9]]);
    await expectClose(made.state.u, first.u, { rtol: 0, atol: 0 });
    await expectClose(made.state.v, first.v, { rtol: 0, atol: 0 });
    const x = randomTensor([2, 9]) as Tensor;
    for (const train of [true, false]) {
      await expectNoLeak(() => valueAndGrad((p: Made['params']) => sum(made.layer.apply(x, p, { train, seed: 1, state: made.state })), made.params));
      await expectClose(made.state.v, first.v, { rtol: 0, atol: 0 });
    }
    await expectNoLeak(() => made.layer.state!.update(made.params, made.state));
    await expectClose(made.state.u, next.u, { rtol: 0, atol: 0 });
    await expectClose(made.state.v, next.v, { rtol: 0, atol: 0 });
    dispose([first, next, x]);
    free(made);
  });

  it('the layer can be recomputed in the backward pass', async () => {
    const made = make(sigmaReparam(), 4, 5);
    const x = randomTensor([3, 4]) as Tensor;
    const apply = (h: Tensor, params: Tree<Tensor>): Tensor => made.layer.applyWith!(h, params, { activation: 'gelu' }, { state: made.state });
    const [plain, again] = [apply, rematerialise(apply)].map((f) => valueAndGrad((p: Made['params']) => sum(f(x, p)), made.params));
    await expectClose(again!.value, plain!.value);
    for (const name of ['weight', 'gamma', 'bias'] as const) await expectClose(again!.grads[name], plain!.grads[name], { atol: 1e-5 });
    dispose([x, plain, again] as never);
    free(made);
  });

  it('a call without state says where it comes from, and leaves nothing behind', async () => {
    const made = make(sigmaReparam(), 4, 5);
    const x = zerosTensor([3, 4]);
    await expectNoLeak(() => made.layer.apply(x, made.params), { throws: "sigmaReparam: options.state must have the vectors u and v, got no state. Give train({ modelState }) the values" });
    await expectNoLeak(() => made.layer.apply(x, made.params, { state: { v: made.state.v } }), { throws: 'options.state must have the vectors u and v, got v.' });
    x.dispose();
    free(made);
  });
});

describe('sigmaReparam', () => {
  it('sigmaReparam() says of each parameter its shape, axes, role, block and fan-in', () => {
    expect(treeEntries(sigmaReparam()(3, 5, { block: 2, outAxis: 'qkv', inAxis: 'dim', parts: [1, 2, 2] }).specs as Tree<ParamSpec>)).toEqual([
      ['weight', { shape: [5, 3], axes: 'qkv dim', role: 'hidden', block: 2, parts: [1, 2, 2], fanIn: 3 }],
      ['gamma', { shape: [1], axes: 'one', role: 'scalar', normOf: 'weight', block: 2 }],
      ['bias', { shape: [5], axes: 'qkv', role: 'bias', block: 2, parts: [1, 2, 2] }],
    ]);
    expect(treeEntries(sigmaReparam({ bias: false })(3, 5, { role: 'head' }).specs as Tree<ParamSpec>)).toEqual([
      ['weight', { shape: [5, 3], axes: 'out in', role: 'head', fanIn: 3 }],
      ['gamma', { shape: [1], axes: 'one', role: 'scalar', normOf: 'weight' }],
    ]);
  });

  it('the specs but gamma, and the first weights, are those of linearLayer', () => {
    const place = { block: 1, role: 'hidden', outAxis: 'dim', inAxis: 'heads', residualDepth: 3, headDim: 2, parts: [2, 4] } as const;
    const [ours, plain] = [sigmaReparam()(4, 6, place), linearLayer()(4, 6, place)].map(({ specs }) => Object.fromEntries(treeEntries(specs as Tree<ParamSpec>)));
    const { gamma: _, ...rest } = ours!;
    expect(rest).toEqual(plain);
  });

  it('sigmaReparam() refuses options and sizes that it cannot have', () => {
    expect(() => sigmaReparam({ gammaInit: 'sigma' as never })).toThrow('sigmaReparam: gammaInit must be one of one, spectral, got sigma');
    expect(() => sigmaReparam({ initIterations: 0 })).toThrow('sigmaReparam: initIterations must be an integer ≥ 1, got 0');
    expect(() => sigmaReparam({ initialiser: zeros })).toThrow('sigmaReparam: initialiser must not be zeros, which have no spectral norm to divide by');
    expect(() => sigmaReparam()(0, 3)).toThrow('sigmaReparam: inDim must be an integer ≥ 1, got 0');
    expect(() => sigmaReparam()(3, 1.5)).toThrow('sigmaReparam: outDim must be an integer ≥ 1, got 1.5');
    const { specs, initialiserOf } = sigmaReparam({ gammaInit: 'spectral' })(2, 2);
    const { gamma } = specs as { gamma: ParamSpec };
    expect(() => initialiserOf(gamma, 'gamma')(gamma, 1)).toThrow("sigmaReparam: weight must be made before gamma with gammaInit 'spectral', got no weight");
  });

  it('the layer names the input that does not fit', () => {
    const layer = sigmaReparam({ initialiser: ones })(3, 2);
    const [x, params] = [zerosTensor([4, 3]), { weight: zerosTensor([2, 3]), gamma: zerosTensor([1]) }];
    expect(() => layer.apply(zerosTensor([4, 2]), params)).toThrow('sigmaReparam: x must have shape [..., 3], got [4, 2]');
    expect(() => layer.apply(zerosTensor([4, 3], 'int32'), params)).toThrow('sigmaReparam: x must have dtype float32, got int32');
    expect(() => layer.applyWith!(x, params, { residual: x })).toThrow('sigmaReparam: residual must have shape [4, 2], got [4, 3]');
    expect(() => layer.applyWith!(x, params, { residual: zerosTensor([4, 2], 'int32') })).toThrow('sigmaReparam: residual must have dtype float32, got int32');
    expect(() => layer.applyWith!(x, params, { activation: 'tanh' as never })).toThrow('sigmaReparam: activation must be one of gelu, geluTanh, silu, got tanh');
    expect(() => layer.applyWith!(x, params, { scale: NaN })).toThrow('sigmaReparam: scale must be between');
    expect(() => layer.apply(x, params, { state: { u: zerosTensor([3]), v: zerosTensor([3]) } })).toThrow('effectiveWeight: u must have shape [2], got [3]');
  });
});
