/** Every placement of norms, against formulas written down from the papers. */
import { treeEntries, xavier, type NormFactory, type ParamSpec, type Tree } from '@evenkeel/core-tensor';
import { gatedMlpLayer, layerNormScaling, linearLayer, placementRule, type KvCache, type PlacementName } from '@evenkeel/layers';
import { rmsNormLayer } from '@evenkeel/norms';
import { checkOpGrad, expectClose, expectNoLeak, forEachBackend, randomTensor } from '@evenkeel/testing';
import { concat, dispose, profile, slice, tidy, type Tensor } from '@tensorflow/tfjs-core';
import { describe, expect, it } from 'vitest';
import { block64, initialised, makeBlock, makeParams, nest, PLACED_NAMES, type BlockSizes, type Placed } from './blockOracle.ts';

/** The third of five blocks, with one key head for two query heads. */
const base = { dim: 8, numHeads: 2, numKvHeads: 1, causal: true, block: 2, depth: 5 } as const;
const NORMED = ['layer', 'rms'] as const;
/** Each placement, with queries and keys normalised in one way or the other. */
const CASES = PLACED_NAMES.map((placed, i): BlockSizes & { placed: Placed } => ({ ...base, placed, qkNorm: NORMED[i % 2]! }));

const readAll = async (tensors: Record<string, Tensor>) =>
  Object.fromEntries(await Promise.all(Object.entries(tensors).map(async ([name, leaf]) => [name, await leaf.data()] as const)));

forEachBackend(() => {
  it.each(CASES)('placement $placed agrees with the float64 oracle, with grouped heads and $qkNorm norm of queries and keys', async (sizes) => {
    for (const qkNorm of [sizes.qkNorm, undefined]) {
      const { qkNorm: _, ...plain } = sizes;
      const each = qkNorm === undefined ? plain : sizes;
      const block = makeBlock(each);
      const flat = makeParams(block);
      for (const [batchSize, seqLen] of [[1, 1], [2, 5]] as const) {
        const x = randomTensor([batchSize, seqLen, 8], { seed: 99 });
        const y = block.apply(x, nest(block, flat));
        await expectClose(y, block64(await x.data(), await readAll(flat), seqLen, each), { rtol: 1e-4, atol: 5e-5 });
        dispose([x, y]);
      }
      dispose(flat);
    }
  });

  it.each(CASES)('the gradients of placement $placed match finite differences in x and every parameter', async (given) => {
    const sizes = { ...given, dim: 6 };
    const block = makeBlock(sizes);
    const inputs = { x: randomTensor([2, 3, 6], { seed: 99 }) as Tensor, ...makeParams(block) };
    await checkOpGrad<string>({
      op: ({ x, ...flat }) => block.apply(x as Tensor, nest(block, flat)),
      oracle64: ({ x, ...flat }) => block64(x as Float64Array, flat, 3, sizes),
      inputs, directions: 2, rtol: 5e-4, atol: 5e-6,
    });
    dispose(inputs);
  });

  it.each(CASES)('applyCached of placement $placed gives in pieces what apply gives at once', async (sizes) => {
    const block = makeBlock({ ...sizes, rotary: true });
    const flat = makeParams(block);
    const params = nest(block, flat);
    const x = randomTensor([2, 6, 8], { seed: 99 });
    const whole = block.apply(x, params);
    const pieces: Tensor[] = [];
    let cache: KvCache | null = null;
    for (const [start, length] of [[0, 3], [3, 1], [4, 2]] as const) {
      const piece = slice(x, [0, start, 0], [2, length, 8]);
      const next: { y: Tensor; cache: KvCache } = block.applyCached(piece, params, cache);
      dispose([piece, cache as never]);
      cache = next.cache;
      pieces.push(next.y);
    }
    const joined = concat(pieces, 1);
    await expectClose(joined, whole, { rtol: 1e-4, atol: 2e-5 });
    dispose([x, whole, joined, pieces, flat, cache as never]);
  });

  it('every placement gives the same for a norm that cannot add to the stream', async () => {
    const norm = rmsNormLayer();
    const plain: NormFactory = (dim, place) => { const { applyToSum: _, ...layer } = norm(dim, place); return layer; };
    for (const placed of PLACED_NAMES) {
      const [block, other] = [makeBlock({ ...base, placed }, { norm }), makeBlock({ ...base, placed }, { norm: plain })];
      const flat = makeParams(block);
      const x = randomTensor([2, 3, 8]);
      const [y, z] = [block.apply(x, nest(block, flat)), other.apply(x, nest(other, flat))];
      await expectClose(z, y, { rtol: 1e-5, atol: 1e-5 });
      dispose([x, y, z, flat]);
    }
  });

  it('every placement adds exactly its results and frees the rest', async () => {
    for (const placed of PLACED_NAMES) {
      const block = makeBlock({ ...base, placed, qkNorm: 'rms' }, { dropout: 0.1 });
      const flat = makeParams(block);
      const x = randomTensor([1, 3, 8]);
      await expectNoLeak(() => block.apply(x, nest(block, flat), { train: true, seed: 1 }));
      await expectNoLeak(() => block.applyCached(x, nest(block, flat), null));
      dispose([x, flat]);
    }
  });
});

forEachBackend(['evenkeel-wasm'], () => {
  it.each([['pre', 1], ['lns', 1], ['peri', 1], ['output', 0], ['post', 0]] as const)('placement %s takes the sum before its second norm on the way: %i kernels of both', async (placed, both) => {
    const block = makeBlock({ ...base, placed });
    const flat = makeParams(block);
    const x = randomTensor([2, 3, 8]);
    const { kernels } = await profile(() => tidy(() => { block.apply(x, nest(block, flat)); }));
    const count = (name: string): number => kernels.filter((kernel) => kernel.name === name).length;
    expect([count('evenkeel/addLayerNorm'), count('Add')]).toEqual([both, 2 - both]);
    dispose([x, flat]);
  });
});

describe('the parameters of a placement', () => {
  const NORMS: Record<Placed, string[]> = {
    pre: ['norm1', 'norm2'], post: ['norm1', 'norm2'], lns: ['norm1', 'norm2'], deepnorm: ['norm1', 'norm2'], 'lns after the sub-layer': ['norm1', 'norm2'],
    peri: ['norm1', 'norm1Out', 'norm2', 'norm2Out'], output: ['norm1Out', 'norm2Out'], none: [],
    'a rule with everything': ['norm1', 'norm1Out', 'norm1Sum', 'norm2', 'norm2Out', 'norm2Sum'],
  };
  const specsOf = (placed: Placed, extra: Partial<BlockSizes> = {}): [string, ParamSpec][] =>
    treeEntries(makeBlock({ ...base, placed, ...extra }, { norm: rmsNormLayer(), linear: linearLayer({ bias: false }) }).specs as Tree<ParamSpec>);

  it.each(PLACED_NAMES)('placement %s has its norms and no others, all of the block and of its channels', (placed) => {
    const specs = specsOf(placed);
    const of1 = NORMS[placed].filter((name) => name.startsWith('norm1'));
    const of2 = NORMS[placed].filter((name) => name.startsWith('norm2'));
    expect(specs.map(([path]) => path)).toEqual([
      ...of1.map((name) => `${name}.weight`), 'attn.qkv.weight', 'attn.proj.weight', ...of2.map((name) => `${name}.weight`), 'mlp.up.weight', 'mlp.down.weight',
    ]);
    for (const [path, spec] of specs) if (path.startsWith('norm')) expect(spec).toEqual({ shape: [8], axes: 'dim', role: 'norm', block: 2 });
  });

  it('a block says of its maps what their axes are, and of qk-norm that its channels are those of a head', () => {
    const specs = Object.fromEntries(specsOf('pre', { qkNorm: 'rms' }));
    expect(specs['attn.qkv.weight']).toEqual({ shape: [16, 8], axes: 'qkv dim', parts: [8, 4, 4], headDim: 4, role: 'hidden', block: 2, fanIn: 8 });
    expect(specs['attn.proj.weight']).toEqual({ shape: [8, 8], axes: 'dim heads', headDim: 4, role: 'hidden', block: 2, fanIn: 8 });
    expect(specs['mlp.up.weight']).toMatchObject({ shape: [32, 8], axes: 'hidden dim' });
    expect(specs['mlp.down.weight']).toMatchObject({ shape: [8, 32], axes: 'dim hidden' });
    const ofHeads = { shape: [4], axes: 'headDim', role: 'norm', block: 2 };
    expect([specs['attn.qNorm.weight'], specs['attn.kNorm.weight']]).toEqual([ofHeads, ofHeads]);
  });

  const firstValues = async (placed: Placed, extra: Parameters<typeof makeBlock>[1] = {}): Promise<Record<string, Float32Array>> => {
    const params = initialised(makeBlock({ ...base, placed, dim: 16, numKvHeads: 2 }, extra), 7);
    const values = await readAll(Object.fromEntries(treeEntries(params)));
    dispose(params as never);
    return values as Record<string, Float32Array>;
  };
  const SHRUNK = ['attn.proj.weight', 'mlp.down.weight'];

  it.each(PLACED_NAMES)('placement %s starts as it should beside lns, where all maps have their full size', async (placed) => {
    const shrinks = (['pre', 'post', 'none'] as Placed[]).includes(placed);
    const [actual, full] = [await firstValues(placed), await firstValues('lns')];
    for (const [path, values] of Object.entries(actual)) {
      if (path.startsWith('norm')) {
        expect([...new Set(values)]).toEqual([path.endsWith('weight') ? 1 : 0]);
      } else if (placed !== 'deepnorm') {
        const factor = shrinks && SHRUNK.includes(path) ? 1 / Math.sqrt(2 * base.depth) : 1;
        await expectClose(values, full[path]!.map((value) => factor * value), { rtol: 1e-5, atol: 1e-9 });
      }
    }
  });

  it.each([['mlpLayer', undefined], ['gatedMlpLayer', gatedMlpLayer({ hiddenDim: 5 })]] as const)('deepnorm starts value rows, output projection and MLP at (8N)^−¼ of their size, and no other: %s', async (_, mlp) => {
    const beta = (8 * base.depth) ** -0.25;
    const [actual, full] = await Promise.all((['deepnorm', 'lns'] as const).map((placed) => firstValues(placed, mlp && { mlp })));
    for (const [path, values] of Object.entries(actual!)) {
      const isRow = (i: number): boolean => path === 'attn.qkv.weight' && i < 32 * 16; // of queries and keys
      const scales = /^(mlp|attn)\..*weight$/.test(path);
      await expectClose(values, full![path]!.map((value, i) => (scales && !isRow(i) ? beta * value : value)), { rtol: 1e-5, atol: 1e-9 });
    }
  });

  it('deepnorm with Xavier linears starts with the standard deviations of the paper: gain 1 for queries and keys, β for all else', async () => {
    const beta = (8 * base.depth) ** -0.25;
    const params = initialised(makeBlock({ ...base, placed: 'deepnorm', dim: 64, numKvHeads: 2 }, { linear: linearLayer({ initialiser: xavier }) }), 7);
    const values = await readAll(Object.fromEntries(treeEntries(params))) as Record<string, Float32Array>;
    const rows = (from: number, to: number) => values['attn.qkv.weight']!.slice(from * 64, to * 64);
    const std = (all: Float32Array): number => Math.hypot(...all) / Math.sqrt(all.length);
    const square = Math.sqrt(2 / (64 + 64)); // √(2 / (fanIn + fanOut))
    for (const [all, expected] of [
      [rows(0, 64), square], [rows(64, 128), square], [rows(128, 192), beta * square], [values['attn.proj.weight']!, beta * square],
      [values['mlp.up.weight']!, beta * Math.sqrt(2 / (64 + 256))], [values['mlp.down.weight']!, beta * Math.sqrt(2 / (256 + 64))],
    ] as const) expect(Math.abs(std(all) / expected - 1)).toBeLessThan(0.05);
    dispose(params as never);
  });
});

describe('placementRule', () => {
  it('deepnorm has the constants of a model with an encoder or a decoder alone: (2N)^¼ and (8N)^−¼', () => {
    const { residualScale, initScale } = placementRule('test', 'deepnorm');
    expect(residualScale!({ block: 3, depth: 8 })).toBeCloseTo(2, 12);
    expect(initScale!({ block: 0, depth: 2 })).toBeCloseTo(0.5, 12);
    expect(residualScale!({ block: 0, depth: 500 })).toBeCloseTo(5.6234, 4);
  });

  it('lns counts blocks from 1', () => {
    const { inputScale, outputScale } = placementRule('test', 'lns');
    expect([0, 3].map((block) => inputScale!({ block, depth: 5 }))).toEqual([1, 0.5]);
    expect(outputScale).toBeUndefined();
    const after = layerNormScaling({ position: 'afterSublayer' });
    expect([after.inputScale, after.outputScale!({ block: 3, depth: 5 })]).toEqual([undefined, 0.5]);
  });

  it('a norm before the head belongs to the placements whose stream is not normalised', () => {
    const finals = (['pre', 'post', 'peri', 'output', 'lns', 'deepnorm', 'none'] as PlacementName[]).map((name) => placementRule('test', name).final === true);
    expect(finals).toEqual([true, false, true, true, true, false, false]);
  });

  it.each([
    ['sandwich', 'gpt: placement must be one of pre, post, peri, output, lns, deepnorm, none, got sandwich'],
    [null, 'gpt: placement must be a name or a PlacementRule, got null'],
    [3, 'gpt: placement must be a name or a PlacementRule, got 3'],
    [{ before: true }, "gpt: placement's properties must be one of input, output, sum, final, shrinkInit, inputScale, outputScale, residualScale, initScale, got before"],
    [{ input: 1 }, 'gpt: placement.input must be a boolean, got 1'],
    [{ input: true, inputScale: 0.5 }, 'gpt: placement.inputScale must be a function such as ({ block, depth }) => number, got number'],
  ])('placementRule refuses %j', (placement, message) => {
    expect(() => placementRule('gpt', placement as never)).toThrow(message);
  });

  it('placementRule accepts a rule with properties left undefined', () => {
    const rule = { input: true, output: undefined } as never;
    expect(placementRule('gpt', rule)).toBe(rule);
  });

  it('transformerBlock({ placement }) refuses a factor that is no number, and names the block', () => {
    const message = (name: string) => `transformerBlock: placement.${name} must give a finite number, got NaN for block 2 of 5`;
    for (const name of ['inputScale', 'outputScale', 'residualScale', 'initScale']) {
      expect(() => makeBlock({ ...base, placed: 'pre' }, { placement: { [name]: () => NaN } })).toThrow(message(name));
    }
  });

  it('layerNormScaling refuses another position', () => {
    expect(() => layerNormScaling({ position: 'beforeNorm' as never })).toThrow('layerNormScaling: position must be one of afterNorm, afterSublayer, got beforeNorm');
  });
});
