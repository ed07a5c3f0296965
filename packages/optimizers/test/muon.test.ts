import { type Tensor, type Variable } from '@tensorflow/tfjs-core';
import type { ParamSpec, Tree } from '@evenkeel/core-tensor';
import { adamw, muon, orthogonalise, type MuonOptions } from '@evenkeel/optimizers';
import { expectClose, forEachBackend } from '@evenkeel/testing';
import { expect, it } from 'vitest';
import { free, snapshot } from './helpers.ts';
import { blocks, norm64, run, tensorsOf, variablesOf, type Blocks } from './trajectory.ts';

const spec = (shape: number[], role: ParamSpec['role'], parts?: number[]): ParamSpec => ({ shape, axes: shape.map((_, i) => `axis${i}`).join(' '), role, ...(parts && { parts }) });
const SPECS = {
  qkv: spec([12, 8], 'hidden', [6, 3, 3]), proj: spec([8, 6], 'hidden'), up: spec([6, 8], 'hidden'), embed: spec([9, 8], 'embedding'), head: spec([9, 8], 'head'),
  bias: spec([8], 'bias'), conv: spec([2, 3, 4], 'hidden'),
};
const SHAPES = Object.fromEntries(Object.entries(SPECS).map(([path, { shape }]) => [path, [...shape]]));
const MATRICES = ['qkv', 'proj', 'up'];

/** What one step from given parameters adds to them. */
async function updatesOf(options: MuonOptions, specs: Tree<ParamSpec> = SPECS, start = blocks(1, SHAPES), grads = blocks(2, SHAPES)): Promise<Record<string, number[]>> {
  const [params, tensors] = [variablesOf(start), tensorsOf(grads)];
  const optimizer = muon(specs, options);
  const state = optimizer.init(params);
  const updates = optimizer.update(tensors, state, params);
  const values = await snapshot(updates) as Record<string, number[]>;
  free(params, tensors, state, updates);
  return values;
}

forEachBackend(() => {
  it('muon(specs) gives hidden matrices to the iteration and everything else to AdamW', async () => {
    const [start, grads] = [blocks(1, SHAPES), [2, 3].map((seed) => blocks(seed, SHAPES))];
    const adamwOptions = { learningRate: 0.01, weightDecay: 0.2 };
    const [mixed, plain] = [await run(muon(SPECS, { learningRate: 0.02, weightDecay: 0.1, adamw: adamwOptions }), start, grads), await run(adamw(adamwOptions), start, grads)];
    for (const path of Object.keys(SPECS)) {
      if (MATRICES.includes(path)) expect(mixed[path]).not.toEqual(plain[path]);
      else await expectClose(Float32Array.from(mixed[path]!), Float32Array.from(plain[path]!), { rtol: 1e-6 });
    }
  });

  it('muon(specs) orthogonalises the mean of the gradient, looking ahead with Nesterov, in either scaling', async () => {
    const shapes = { proj: [8, 6] };
    const [start, first, second] = [1, 2, 3].map((seed) => blocks(seed, shapes)) as [Blocks, Blocks, Blocks];
    const [eta, mu, lambda] = [0.1, 0.9, 0.5];
    for (const [nesterov, scaling, length] of [[true, 'adam', 0.2 * Math.sqrt(8)], [false, 'spectral', Math.sqrt(8 / 6)]] as const) {
      const optimizer = muon({ proj: SPECS.proj }, { learningRate: eta, momentum: mu, nesterov, scaling, weightDecay: lambda });
      const actual = await run(optimizer, start, [first, second]);
      const p = Float64Array.from(start['proj']!.values);
      const m = new Float64Array(p.length);
      for (const { proj } of [first, second]) {
        const ahead = Float32Array.from(proj!.values, (g, i) => {
          m[i] = mu * m[i]! + (1 - mu) * g;
          return nesterov ? mu * m[i]! + (1 - mu) * g : m[i]!;
        });
        const tensors = tensorsOf({ proj: { shape: [8, 6], values: ahead } });
        const [orthogonal] = orthogonalise([tensors['proj'] as never]);
        const o = await orthogonal!.data();
        p.forEach((value, i) => { p[i]! -= eta * (length * o[i]! + lambda * value); });
        free(tensors, orthogonal!);
      }
      await expectClose(Float32Array.from(actual['proj']!), p, { rtol: 1e-4, atol: 1e-5 });
    }
  });

  it('muon(specs) treats the parts of a stacked matrix as matrices of their own', async () => {
    const [start, grads] = [blocks(1, SHAPES), blocks(2, SHAPES)];
    const cut = (from: Blocks): Blocks => {
      const { values } = from['qkv']!;
      return { q: { shape: [6, 8], values: values.slice(0, 48) }, k: { shape: [3, 8], values: values.slice(48, 72) }, v: { shape: [3, 8], values: values.slice(72) } };
    };
    const options = { learningRate: 0.5, weightDecay: 0.1 };
    const { qkv } = await updatesOf(options);
    const { q, k, v } = await updatesOf(options, { q: spec([6, 8], 'hidden'), k: spec([3, 8], 'hidden'), v: spec([3, 8], 'hidden') }, cut(start), cut(grads));
    await expectClose(Float32Array.from(qkv!), Float32Array.from([...q!, ...k!, ...v!]), { rtol: 1e-5, atol: 1e-6 });
  });

  it('muon(specs) takes steps of 0.2 in root mean square, as AdamW does, whatever the shape and the size of the gradient', async () => {
    const shapes = { tall: [96, 12], square: [40, 40] };
    const specs = { tall: spec([96, 12], 'hidden'), square: spec([40, 40], 'hidden') };
    for (const std of [1e-3, 100]) {
      const updates = await updatesOf({ learningRate: 1, weightDecay: 0 }, specs, blocks(1, shapes), blocks(2, shapes, std));
      for (const [path, size] of [['tall', 96 * 12], ['square', 1600]] as const) {
        expect(norm64(updates[path]!) / Math.sqrt(size)).toSatisfy((rms: number) => rms > 0.15 && rms < 0.23);
      }
    }
  });
});

it('muon(specs, options) names what is wrong', () => {
  expect(() => muon(SPECS, { learningRate: 1, momentum: 1 })).toThrow('muon: momentum must be in [0, 1), got 1');
  expect(() => muon(SPECS, { learningRate: 1, scaling: 'none' as 'adam' })).toThrow('muon: scaling must be one of adam, spectral, got none');
  expect(() => muon(SPECS, { learningRate: 1, adamw: { beta1: 2 } })).toThrow('adamw: beta1 must be in [0, 1), got 2');
  expect(() => muon(SPECS, { learningRate: 1, steps: 0 })).toThrow('muon: steps must be an integer ≥ 1, got 0');
  expect(() => muon({ qkv: spec([12, 8], 'hidden', [6, 3]) }, { learningRate: 1 })).toThrow('muon: specs.qkv must have parts that add up to 12, got 6 + 3');
  const short = variablesOf(blocks(1, { proj: [8, 5] }));
  expect(() => muon({ proj: SPECS.proj }, { learningRate: 1 }).init(short)).toThrow('muon: params.proj must have shape [8, 6], got [8, 5]');
  free(short as unknown as Tree<Tensor>);
  const params = { other: variablesOf(blocks(1, { a: [1] }))['a'] as Variable } as Record<string, Variable>;
  expect(() => muon(SPECS, { learningRate: 1 }).init(params)).toThrow('partition: groups must have a leaf for other');
  free(params as unknown as Tree<Tensor>);
});
