import { lars, type LarsOptions } from '@evenkeel/optimizers';
import { expectClose, forEachBackend } from '@evenkeel/testing';
import { expect, it } from 'vitest';
import { blocks, expectSame, moment, norm64, run, run64, SHAPES, type Blocks, type Values64 } from './trajectory.ts';

const OPTIONS = { learningRate: 0.5, momentum: 0.8, weightDecay: 0.2, trustCoefficient: 0.05, eps: 1e-3 };

function lars64(start: Blocks, grads: readonly Blocks[], { nesterov = false, adapts = ['matrix', 'wide'] }: { nesterov?: boolean; adapts?: string[] } = {}): Values64 {
  const { learningRate, momentum, weightDecay, trustCoefficient, eps } = OPTIONS;
  return run64(({ path, p, g, memory }) => {
    const m = moment(memory, 'm', p.length);
    const [length, gradient] = [norm64(p), norm64(g)];
    const isKnown = adapts.includes(path) && length > 0 && gradient > 0;
    const trust = isKnown ? (trustCoefficient * length) / (gradient + weightDecay * length + eps) : 1;
    p.forEach((_, i) => {
      const scaled = trust * (g[i]! + weightDecay * p[i]!);
      m[i] = momentum * m[i]! + scaled;
      p[i]! -= learningRate * (nesterov ? momentum * m[i]! + scaled : m[i]!);
    });
  }, start, grads);
}

const grads = [2, 3, 4, 5].map((seed) => blocks(seed));
const after = (start: Blocks, given: readonly Blocks[], options: Partial<LarsOptions> = {}) => run(lars({ ...OPTIONS, ...options }), start, given);

forEachBackend(() => {
  it.each([false, true])('lars({ nesterov: %s }) follows the algorithm in float64, vectors and scalars without trust ratio', async (nesterov) => {
    await expectSame(await after(blocks(1), grads, { nesterov }), lars64(blocks(1), grads, { nesterov }));
  });

  it('lars({ adapt }) scales what it is told to', async () => {
    const adapt = { matrix: false, wide: true, bias: true, gain: false };
    await expectSame(await after(blocks(1), grads, { adapt }), lars64(blocks(1), grads, { adapts: ['wide', 'bias'] }));
  });

  it('lars() uses the gradient itself where a parameter is zero, and only decays where the gradient is', async () => {
    const zero = (from: Blocks, path: string): Blocks => ({ ...from, [path]: { ...from[path]!, values: from[path]!.values.map(() => 0) } });
    const start = zero(blocks(1), 'matrix');
    const given = [zero(blocks(2), 'wide')];
    const result = await after(start, given);
    await expectSame(result, lars64(start, given));
    await expectClose(Float32Array.from(result['matrix']!), given[0]!['matrix']!.values.map((value) => -0.5 * value));
    await expectClose(Float32Array.from(result['wide']!), start['wide']!.values.map((value) => value * (1 - 0.5 * 0.2)));
  });

  it('lars() takes first steps that do not depend on the size of the gradient', async () => {
    const shapes = { matrix: SHAPES['matrix']! };
    const [start, grad] = [blocks(1, shapes), blocks(2, shapes)];
    const larger = { matrix: { ...grad['matrix']!, values: grad['matrix']!.values.map((value) => 256 * value) } };
    const options = { weightDecay: 0, eps: 0 };
    const [once, again] = [await after(start, [grad], options), await after(start, [larger], options)];
    await expectClose(Float32Array.from(again['matrix']!), Float32Array.from(once['matrix']!));
  });
});

it('lars(options) out of range names the option', () => {
  expect(() => lars({ learningRate: 1, momentum: 1 })).toThrow('lars: momentum must be in [0, 1), got 1');
  expect(() => lars({ learningRate: 1, trustCoefficient: 0 })).toThrow('lars: trustCoefficient must be a positive number, got 0');
  expect(() => lars({ learningRate: 1, eps: -1 })).toThrow('lars: eps must be between 0');
  expect(() => lars({ learningRate: 1, adapt: { a: 1 } as never })).toThrow('lars: adapt.a must be true or false, got 1');
});
