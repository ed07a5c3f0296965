import { type Tensor } from '@tensorflow/tfjs-core';
import { lamb } from '@evenkeel/optimizers';
import { forEachBackend } from '@evenkeel/testing';
import { expect, it } from 'vitest';
import { free } from './helpers.ts';
import { blocks, expectSame, moment, norm64, run, run64, tensorsOf, variablesOf } from './trajectory.ts';

forEachBackend(() => {
  it('lamb() follows the algorithm in float64, vectors and scalars without trust ratio', async () => {
    const [start, grads] = [blocks(1), [2, 3, 4, 5].map((seed) => blocks(seed))];
    const [eta, beta1, beta2, eps, lambda] = [0.05, 0.8, 0.95, 1e-3, 0.3];
    const expected = run64(({ path, p, g, memory }, at) => {
      const [m, v] = [moment(memory, 'm', p.length), moment(memory, 'v', p.length)];
      const r = p.map((value, i) => {
        m[i] = beta1 * m[i]! + (1 - beta1) * g[i]!;
        v[i] = beta2 * v[i]! + (1 - beta2) * g[i]! ** 2;
        return m[i]! / (1 - beta1 ** (at + 1)) / (Math.sqrt(v[i]! / (1 - beta2 ** (at + 1))) + eps) + lambda * value;
      });
      const trust = ['matrix', 'wide'].includes(path) ? norm64(p) / norm64(r) : 1;
      p.forEach((_, i) => { p[i]! -= eta * trust * r[i]!; });
    }, start, grads);
    await expectSame(await run(lamb({ learningRate: eta, beta1, beta2, eps, weightDecay: lambda }), start, grads), expected);
  });

  it('lamb() changes a matrix by the share of its length that the learning rate says', async () => {
    const [params, grads] = [variablesOf(blocks(1)), tensorsOf(blocks(2))];
    const optimizer = lamb({ learningRate: 0.125 });
    const state = optimizer.init(params);
    const updates = optimizer.update(grads, state, params) as Record<string, Tensor>;
    for (const path of ['matrix', 'wide']) {
      expect(norm64(await updates[path]!.data()) / norm64(await params[path]!.data())).toBeCloseTo(0.125, 6);
    }
    free(params, grads, state, updates);
  });
});

it('lamb(options) out of range names the option', () => {
  expect(() => lamb({ learningRate: 1, beta2: 1 })).toThrow('lamb: beta2 must be in [0, 1), got 1');
  expect(() => lamb({ learningRate: 1, adapt: { a: 'yes' } as never })).toThrow('lamb: adapt.a must be true or false, got yes');
});
