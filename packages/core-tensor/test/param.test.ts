import { dispose, memory, reshape, square, sum, tensor, tidy, Variable, zeros as zerosTensor } from '@tensorflow/tfjs-core';
import { foldSeed, initParams, normal, param, stateVariable, treeLeaves, zeros, type ParamSpec } from '@evenkeel/core-tensor';
import { expectClose, expectNoLeak } from '@evenkeel/testing';
import { describe, expect, it } from 'vitest';

describe('param(init)', () => {
  it('param(init) makes one trainable variable and frees its initial value', async () => {
    await expectNoLeak(() => param(() => tensor([1, 2])));
    const w = param(() => tensor([1, 2]));
    expect(w).toBeInstanceOf(Variable);
    expect(w.trainable).toBe(true);
    await expectClose(w, [1, 2]);
  });

  it('param(init) frees intermediates of init too, also when it throws', async () => {
    await expectNoLeak(() => param(() => square(tensor([1, 2]))));
    await expectNoLeak(() => param(() => { tensor([1]); throw new Error('from init'); }), { throws: 'from init' });
  });

  it('param(init) survives the tidy in which it is made, and dispose frees it', () => {
    const before = memory().numTensors;
    let made: Variable | undefined;
    tidy(() => { made = param(() => zerosTensor([2])); });
    const w = made as Variable;
    expect(w.isDisposed).toBe(false);
    dispose(w);
    expect(memory().numTensors).toBe(before);
  });

  it('stateVariable(init) is not trainable', () => {
    expect(stateVariable(() => zerosTensor([2])).trainable).toBe(false);
  });
});

describe('initParams(specs, seed, initialiserOf)', () => {
  const weight = (fanIn: number): ParamSpec => ({ shape: [3, fanIn], axes: 'out in', role: 'hidden', fanIn });
  const bias: ParamSpec = { shape: [3], axes: 'out', role: 'bias' };

  it('initParams(specs, …) makes a tree of variables with the shapes of specs', () => {
    const params = initParams({ blocks: [{ up: { weight: weight(2), bias } }] }, 1, (spec) => (spec.role === 'bias' ? zeros : normal()));
    expect(treeLeaves(params).map((leaf) => (leaf as Variable).shape)).toEqual([[3, 2], [3]]);
  });

  it('initParams(specs, seed, …) seeds each parameter by its path, whatever else there is', async () => {
    const all = initParams({ a: { weight: weight(2) }, b: { weight: weight(2) } }, 5, () => normal()) as Record<string, { weight: Variable }>;
    const one = initParams({ b: { weight: weight(2) } }, 5, () => normal()) as Record<string, { weight: Variable }>;
    await expectClose(all['b']!.weight, one['b']!.weight, { rtol: 0, atol: 0 });
    await expectClose(all['a']!.weight, normal()(weight(2), foldSeed(5, 'a.weight')), { rtol: 0, atol: 0 });
    expect(await all['a']!.weight.data()).not.toEqual(await all['b']!.weight.data());
  });

  it('initParams(specs, …) shows an initialiser what has been made beside it, and nothing else', async () => {
    const scalar: ParamSpec = { shape: [1], axes: 'one', role: 'scalar' };
    const seen: string[] = [];
    const params = initParams({ a: { weight: weight(2), gain: scalar, bias }, b: { bias }, gain: scalar }, 5, ({ role }, path) => {
      if (role !== 'scalar') return normal();
      return (_, __, siblings = {}) => (seen.push(`${path}: ${Object.keys(siblings).join(', ')}`), reshape(sum(siblings['weight'] ?? [7]), [1]));
    }) as { a: Record<string, Variable>; gain: Variable };
    expect(seen).toEqual(['a.gain: weight', 'gain: ']);
    await expectClose(params.a['gain']!, reshape(sum(params.a['weight']!), [1]));
    await expectClose(params.gain, [7]);
  });
});
