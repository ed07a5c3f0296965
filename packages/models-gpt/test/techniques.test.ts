/** What gpt takes in place of GPT-2's own parts: placements, qk-norm, heads, z-loss, state, observers. */
import { stateVariable, treeEntries, treePaths, treeFromEntries, valueAndGrad, type LinearFactory, type ParamSpec, type Tree } from '@evenkeel/core-tensor';
import { linearLayer, layerNormScaling, rotaryAttention, type Placement } from '@evenkeel/layers';
import { flashAttention } from '@evenkeel/flash-attention';
import { gpt, type Gpt, type GptCache, type GptParams, type GptSizes, type GptTechniques } from '@evenkeel/models-gpt';
import { dynamicTanhLayer, qkNorm, rmsNormLayer } from '@evenkeel/norms';
import { expectClose, expectNoLeak, forEachBackend, logSumExp64, randomIntegers, randomTensor, softmax64 } from '@evenkeel/testing';
import { add, clone, dispose, keep, mul, slice, sum, tensor2d, tidy, zerosLike, type Tensor, type Tensor2D, type Variable } from '@tensorflow/tfjs-core';
import { describe, expect, it } from 'vitest';

const sizes: GptSizes = { vocabSize: 13, contextLength: 9, depth: 3, dim: 12, numHeads: 3 };
const ids = (seed: number, shape: [number, number] = [2, 5]): Tensor2D => tensor2d(randomIntegers(shape[0] * shape[1], 13, seed), shape, 'int32');
const PLACEMENTS: Placement[] = ['pre', 'post', 'peri', 'output', 'lns', 'deepnorm', 'none', layerNormScaling({ position: 'afterSublayer' })];
const WITH_FINAL_NORM: Placement[] = ['pre', 'peri', 'output', 'lns', PLACEMENTS.at(-1)!];

type Leaves = Record<string, Tensor>;
const leavesOf = (params: unknown): Leaves => Object.fromEntries(treeEntries<Tensor>(params as Tree<Tensor>));
const nest = (model: Gpt, flat: Leaves): GptParams => treeFromEntries(model.specs as Tree<unknown>, Object.entries(flat)) as unknown as GptParams;
/** Parameters far enough from their start that every part of the model shows. */
const drawn = (model: Gpt): Leaves => Object.fromEntries(treeEntries(model.specs).map(([path, spec], i) =>
  [path, randomTensor([...spec.shape] as [number], { seed: i + 1, std: 0.3, mean: spec.role === 'norm' ? 1 : 0 })]));

/** A linear map that adds a state to what it gives; the state starts as 1, 2, … in the order of making and doubles with each update. */
function shifted(): LinearFactory {
  let made = 0;
  return (inDim, outDim, place) => {
    const layer = linearLayer()(inDim, outDim, place);
    const first = ++made;
    return {
      ...layer, applyWith: undefined,
      state: {
        init: () => ({ shift: stateVariable(() => randomTensor([outDim], { seed: first })) }),
        update: (_, state) => tidy(() => { const { shift } = state as { shift: Variable }; shift.assign(mul(shift, 2)); }),
      },
      apply: (x, params, options) => tidy(() => add(layer.apply(x, params), (options!.state as { shift: Tensor }).shift)),
    } as ReturnType<LinearFactory>;
  };
}

forEachBackend(() => {
  it.each(PLACEMENTS)('gpt({ placement: %j }) trains every parameter, decodes what it applies, and has a last norm where its stream needs one', async (placement) => {
    const model = gpt({ ...sizes, placement, qkNorm: qkNorm(), numKvHeads: 1, embeddingNorm: rmsNormLayer(), attention: rotaryAttention(flashAttention, { rotaryDim: 2 }) });
    const flat = drawn(model);
    const params = nest(model, flat);
    expect('norm.weight' in flat).toBe(WITH_FINAL_NORM.includes(placement));
    expect(treePaths(model.init({ seed: 1 }) as unknown as Tree<Tensor>)).toEqual(Object.keys(flat));
    const [inputs, targets] = [ids(1), ids(2)];
    const { value, grads } = valueAndGrad((p: Leaves) => model.loss({ inputs, targets }, nest(model, p)), flat);
    for (const [path, gradient] of Object.entries(grads as Leaves)) {
      const values = await gradient.data();
      expect(values.every(Number.isFinite) && values.some((each) => each !== 0), path).toBe(true);
    }
    const one = slice(inputs, [0, 0], [1, 5]) as Tensor2D;
    const whole = model.apply(one, params);
    let cache: GptCache | null = null;
    for (const [start, length] of [[0, 2], [2, 1], [3, 2]] as const) {
      const piece = slice(one, [0, start], [1, length]) as Tensor2D;
      const next: { logits: Tensor; cache: GptCache } = model.decode(piece, params, cache);
      const expected = slice(whole, [0, start + length - 1, 0], [1, 1, 13]);
      await expectClose(next.logits, await expected.data(), { rtol: 1e-3, atol: 1e-4 });
      dispose([piece, expected, next.logits, cache as never]);
      cache = next.cache;
    }
    dispose([flat, inputs, targets, value, grads as Leaves, one, whole, cache as never]);
  });

  it('gpt({ placement: lns }) is a pre-norm model with gains divided by √l, the last norm excepted; gradients of its gains are 1/√l of those', async () => {
    const [lns, pre] = [gpt({ ...sizes, placement: 'lns' }), gpt({ ...sizes, placement: 'pre' })];
    const flat = drawn(lns);
    const factorOf = (path: string): number => { const block = /^blocks\.(\d+)\.norm/.exec(path)?.[1]; return block === undefined ? 1 : 1 / Math.sqrt(Number(block) + 1); };
    const folded = Object.fromEntries(Object.entries(flat).map(([path, value]) => [path, mul(value, factorOf(path))]));
    const [inputs, targets] = [ids(1), ids(2)];
    const of = (model: Gpt, leaves: Leaves) => valueAndGrad((p: Leaves) => model.loss({ inputs, targets }, nest(model, p)), leaves) as unknown as { value: Tensor; grads: Leaves };
    const [a, b] = [of(lns, flat), of(pre, folded)];
    await expectClose(a.value, b.value, { rtol: 1e-5 });
    for (const [path, gradient] of Object.entries(a.grads)) {
      const expected = mul(b.grads[path]!, factorOf(path));
      await expectClose(gradient, expected, { rtol: 1e-3, atol: 1e-5 });
      dispose(expected);
    }
    dispose([flat, folded, inputs, targets, a as never, b as never]);
  });

  it('gpt without its second block is gpt whose second block adds nothing', async () => {
    const [three, two] = [gpt(sizes), gpt({ ...sizes, depth: 2 })];
    const flat = drawn(three);
    const silent = Object.fromEntries(Object.entries(flat).map(([path, value]) => [path, /^blocks\.1\.(attn\.proj|mlp\.down)/.test(path) ? zerosLike(value) : value]));
    const without = Object.fromEntries(Object.keys(leavesOf(two.specs)).map((path) => [path, flat[path.replace(/^blocks\.1/, 'blocks.2')]!]));
    const tokens = ids(1);
    const [y, z] = [three.apply(tokens, nest(three, silent)), two.apply(tokens, nest(two, without))];
    await expectClose(y, z, { rtol: 1e-5, atol: 1e-5 });
    dispose([flat, silent, tokens, y, z]);
  });

  it('gpt({ zLoss }) adds that much of the mean lse² to the training loss and none in evaluation; its gradient in the logits is 2ζ · lse · softmax', async () => {
    const [plain, z] = [gpt({ ...sizes, tiedHead: false, head: linearLayer() }), gpt({ ...sizes, tiedHead: false, head: linearLayer(), zLoss: 0.1 })];
    const flat = drawn(plain);
    const [inputs, targets] = [ids(1), ids(2)];
    const bias = flat['head.bias']!;
    const of = (model: Gpt, train: boolean) => valueAndGrad((p: { bias: Tensor }) =>
      model.loss({ inputs, targets }, nest(model, { ...flat, 'head.bias': p.bias }), { train }), { bias });
    const [base, trained, evaluated] = [of(plain, true), of(z, true), of(z, false)];
    const logits = plain.apply(inputs, nest(plain, flat));
    const values = await logits.data();
    const [lse, share] = [logSumExp64(values, 13), softmax64(values, 13)];
    const read = async ({ value }: { value: Tensor }) => (await value.data())[0]!;
    expect(await read(trained) - await read(base)).toBeCloseTo(0.1 * lse.reduce((total, each) => total + each ** 2, 0) / 10, 4);
    expect(await read(evaluated)).toBe(await read(base));
    const [full, part] = [await trained.grads.bias.data(), await base.grads.bias.data()];
    for (let v = 0; v < 13; v++) {
      const expected = 2 * 0.1 * lse.reduce((total, each, r) => total + each * share[r * 13 + v]!, 0) / 10;
      expect(full[v]! - part[v]!).toBeCloseTo(expected, 4);
    }
    dispose([flat, inputs, targets, logits, base as never, trained as never, evaluated as never]);
  });

  it('gpt({ head }) projects with the head that it is given', async () => {
    const [model, plain] = [gpt({ ...sizes, tiedHead: false, head: linearLayer({ bias: true }) }), gpt({ ...sizes, tiedHead: false })];
    const specs = Object.fromEntries(treeEntries(model.specs as Tree<ParamSpec>));
    expect(specs['head.weight']).toEqual({ shape: [13, 12], axes: 'vocab dim', role: 'head', fanIn: 12 });
    expect(specs['head.bias']).toEqual({ shape: [13], axes: 'vocab', role: 'bias' });
    const flat = drawn(model);
    const { 'head.bias': bias, ...rest } = flat;
    const tokens = ids(1);
    const [y, z] = [model.apply(tokens, nest(model, flat)), tidy(() => add(plain.apply(tokens, nest(plain, rest)), bias!))];
    await expectClose(y, z, { rtol: 1e-5, atol: 1e-5 });
    dispose([flat, tokens, y, z]);
  });

  it('gpt({ norm: dynamicTanhLayer() }) trains without a norm', async () => {
    const model = gpt({ ...sizes, norm: dynamicTanhLayer() });
    const flat = drawn(model);
    const [inputs, targets] = [ids(1), ids(2)];
    const { value, grads } = valueAndGrad((p: Leaves) => model.loss({ inputs, targets }, nest(model, p)), flat);
    expect((await (grads as Leaves)['blocks.2.norm2.alpha']!.data())[0]).not.toBe(0);
    dispose([flat, inputs, targets, value, grads as Leaves]);
  });

  it('gpt.state has the values of every layer under the names of its parameters; apply and decode use them, update changes them', async () => {
    const model = gpt({ ...sizes, depth: 2, linear: shifted(), head: shifted(), tiedHead: false });
    const params = model.init({ seed: 1 });
    const state = model.state.init(params as unknown as Tree<Tensor>);
    const ofBlock = ['attn.qkv', 'attn.proj', 'mlp.up', 'mlp.down'];
    expect(treePaths(state)).toEqual([...[0, 1].flatMap((block) => ofBlock.map((path) => `blocks.${block}.${path}.shift`)), 'head.shift']);
    const plain = gpt({ ...sizes, depth: 2, head: linearLayer(), tiedHead: false });
    const tokens = ids(1, [1, 5]);
    for (let update = 0; update < 2; update++) {
      const asBiases = { ...leavesOf(params), ...Object.fromEntries(treeEntries(state).map(([path, value]) => [path.replace(/shift$/, 'bias'), value])) };
      const [y, expected] = [model.apply(tokens, params, { state }), plain.apply(tokens, nest(plain, asBiases))];
      await expectClose(y, expected, { rtol: 1e-4, atol: 1e-5 });
      const last = slice(expected, [0, 4, 0], [1, 1, 13]);
      const { logits, cache } = model.decode(tokens, params, null, { state });
      await expectClose(logits, await last.data(), { rtol: 1e-4, atol: 1e-5 });
      dispose([y, expected, last, logits, cache as never]);
      model.state.update(params as unknown as Tree<Tensor>, state);
    }
    dispose([params as never, state as never, tokens]);
  });

  it('gpt tells of its embedding, of every block and of its logits, once each and in order', async () => {
    const model = gpt({ ...sizes, depth: 2, embeddingNorm: rmsNormLayer(), dropout: 0.5 });
    const flat = drawn(model);
    const tokens = ids(1);
    const heard: [string, Tensor][] = [];
    const y = model.apply(tokens, nest(model, flat), { train: true, seed: 3, observe: (name, value) => { heard.push([name, keep(clone(value))]); } });
    const names = heard.map(([name]) => name).filter((name) => !/entropy|rowMax/.test(name));
    expect(names).toEqual(['embedding', ...[0, 1].flatMap((block) => ['attn.out', 'mlp.out', 'out'].map((name) => `blocks.${block}.${name}`)), 'logits']);
    const at = Object.fromEntries(heard);
    await expectClose(at['logits']!, y, { rtol: 0, atol: 0 });
    const stream = tidy(() => ['blocks.0.attn.out', 'blocks.0.mlp.out', 'blocks.1.attn.out', 'blocks.1.mlp.out'].reduce<Tensor>((h, name) => add(h, at[name]!), at['embedding']!));
    await expectClose(at['blocks.1.out']!, stream, { rtol: 1e-5, atol: 1e-5 });
    const dropped = (await at['embedding']!.data()).filter((value) => value === 0).length;
    expect(Math.abs(dropped / at['embedding']!.size - 0.5)).toBeLessThan(0.2);
    dispose([flat, tokens, y, at]);
  });

  it('gpt leaks nothing with any of these, also in gradients', async () => {
    const model = gpt({ ...sizes, placement: 'peri', qkNorm: qkNorm(), embeddingNorm: rmsNormLayer(), head: linearLayer(), tiedHead: false, zLoss: 1e-3, logitScale: 0.5 });
    const flat = drawn(model);
    const [inputs, targets] = [ids(1), ids(2)];
    await expectNoLeak(() => model.apply(inputs, nest(model, flat), { observe: () => {} }));
    await expectNoLeak(() => valueAndGrad((p: Leaves) => sum(model.loss({ inputs, targets }, nest(model, p), { train: true })), flat));
    dispose([flat, inputs, targets]);
  });
});

describe('gpt techniques', () => {
  it.each([
    [{ head: linearLayer() }, 'gpt: head must be left out with tiedHead, got both'],
    [{ head: linearLayer(), tiedHead: true }, 'gpt: head must be left out with tiedHead, got both'],
    [{ head: 3, tiedHead: false }, 'gpt: head must be a function such as linearLayer(), got number'],
    [{ norm: {} }, 'gpt: norm must be a function such as layerNormLayer(), got object'],
    [{ linear: 'linear' }, 'gpt: linear must be a function such as linearLayer(), got string'],
    [{ attention: true }, 'gpt: attention must be a function such as flashAttention, got boolean'],
    [{ mlp: null }, 'gpt: mlp must be a function such as mlpLayer(), got null'],
    [{ qkNorm: true }, 'gpt: qkNorm must be a function such as qkNorm(), got boolean'],
    [{ embeddingNorm: true }, 'gpt: embeddingNorm must be a function such as rmsNormLayer(), got boolean'],
    [{ placement: 'sandwich' }, 'gpt: placement must be one of pre, post, peri, output, lns, deepnorm, none, got sandwich'],
    [{ placement: { inputs: true } }, "gpt: placement's properties must be one of input, output"],
    [{ zLoss: -1 }, 'gpt: zLoss must be between 0 and'],
    [{ zLoss: NaN }, 'gpt: zLoss must be between 0 and'],
  ])('gpt(%j) says what is wrong', (wrong, message) => {
    expect(() => gpt({ ...sizes, ...(wrong as unknown as GptTechniques) })).toThrow(message);
  });

  it('gpt.departures names every technique that a GPT-2 checkpoint cannot say, and none that changes no result', () => {
    expect(gpt(sizes).departures).toEqual([]);
    expect(gpt({ ...sizes, zLoss: 1e-4, rematerialise: true, attention: flashAttention, placement: 'pre', logitScale: 1 }).departures).toEqual([]);
    const all = { placement: 'peri', qkNorm: qkNorm(), embeddingNorm: rmsNormLayer(), head: linearLayer(), tiedHead: false, norm: rmsNormLayer(), linear: linearLayer(), logitScale: 2 } as const;
    expect([...gpt({ ...sizes, ...all }).departures].sort()).toEqual(['embeddingNorm', 'head', 'linear', 'logitScale', 'norm', 'placement', 'qkNorm']);
  });

  it('gpt.state is empty where no layer has any', () => {
    const model = gpt(sizes);
    expect(model.state.init({} as never)).toEqual({});
    expect(() => model.state.update({} as never, {} as never)).not.toThrow();
  });
});
