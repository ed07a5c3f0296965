import { ConfigError, randomNormal, ShapeError, type Observe, type ParamSpec, type Tree } from '@evenkeel/core-tensor';
import { angularDistance, collectHidden, layerVariances, spectralNorms } from '@evenkeel/diagnostics';
import { gpt } from '@evenkeel/models-gpt';
import { expectClose, expectNoLeak, forEachBackend, randomTensor, readValues, type RandomArrayOptions } from '@evenkeel/testing';
import { clone, diag, keep, matMul, mul, ones, tensor1d, tensor2d, tidy, zeros, type Tensor, type Tensor2D } from '@tensorflow/tfjs-core';
import { describe, expect, it } from 'vitest';
import { gramEigenvalue64 } from './helpers.ts';

const SIZES = { vocabSize: 17, contextLength: 9, depth: 3, dim: 12, numHeads: 2 } as const;
const ids = (batch: number, length: number) => tensor2d(Array.from({ length: batch }, (_, b) => Array.from({ length }, (__, t) => (5 * b + t * t) % 17)), [batch, length], 'int32');
const randomOf = (shape: readonly number[], options: RandomArrayOptions = {}): Tensor => randomTensor(shape as never, options);
const valuesOf = async (x: Tensor): Promise<number[]> => Array.from((await readValues(x)).data);

forEachBackend(() => {
  describe('angularDistance(hidden, n)', () => {
    it('is 0 of parallel, ½ of orthogonal and 1 of opposite vectors, exactly enough to tell small angles', async () => {
      const x = tensor2d([[3, 0, 0], [0, 4, 0]]);
      const distances = await valuesOf(angularDistance([x, mul(x, 7), tensor2d([[0, 0, 2], [0, 0, 5]]), tensor2d([[0, 0, -1], [0, 0, -9]])]));
      expect(distances[0]).toBeLessThan(1e-7);
      expect(distances[1]).toBeCloseTo(0.5, 5); // devices compute atan2 to 1e-6 or so
      expect(distances[2]).toBeCloseTo(1, 5);
      const turned = tensor2d([[3, 3e-5, 0], [4e-5, 4, 0]]); // by 1e-5, whose cosine is 1 in float32
      await expectClose(angularDistance([x, turned]), tensor1d([1e-5 / Math.PI]), { atol: 0, rtol: 1e-3 });
    });

    it('is symmetric, does not depend on lengths, and agrees with a float64 oracle over n blocks', async () => {
      const hidden = [1, 2, 3, 4].map((seed) => randomOf([2, 3, 65], { seed, mean: 0.3 }));
      const values = await Promise.all(hidden.map(valuesOf));
      const expected = [0, 1].map((l) => {
        let total = 0;
        for (let token = 0; token < 6; token++) {
          const [u, v] = [values[l]!, values[l + 2]!].map((each) => each.slice(65 * token, 65 * (token + 1))) as [number[], number[]];
          total += Math.acos(u.reduce((sum, value, i) => sum + value * v[i]!, 0) / (Math.hypot(...u) * Math.hypot(...v))) / Math.PI;
        }
        return total / 6;
      });
      await expectClose(angularDistance(hidden, 2), tensor1d(expected));
      await expectClose(angularDistance([hidden[2]!, hidden[0]!]), tensor1d([expected[0]!]));
      await expectClose(angularDistance([mul(hidden[0]!, 1e-6), mul(hidden[2]!, 1e6)]), tensor1d([expected[0]!]));
    });

    it('of vectors without a direction is a half; leaves no tensor behind', async () => {
      await expectClose(angularDistance([zeros([1, 3]), ones([1, 3])]), tensor1d([0.5]));
      const hidden = [ones([2, 3]), ones([2, 3])];
      await expectNoLeak(() => angularDistance(hidden));
    });

    it('refuses what has no pairs', () => {
      expect(() => angularDistance([ones([1])])).toThrow(new ConfigError('angularDistance: hidden must be more than 1 tensors, got 1'));
      expect(() => angularDistance([ones([1]), zeros([1], 'int32')])).toThrow(new ShapeError('angularDistance: hidden[1] must have dtype float32, got int32'));
      expect(() => angularDistance([ones([1]), ones([1])], 0)).toThrow('n must be an integer ≥ 1, got 0');
      expect(() => angularDistance([ones([2, 3]), ones([3, 2])])).toThrow(new ShapeError('angularDistance: hidden[1] must have shape [2, 3], got [3, 2]'));
    });
  });

  describe('layerVariances(hidden)', () => {
    it('are variances over channels, averaged over tokens', async () => {
      const hidden = [1, 2].map((seed) => randomOf([2, 3, 65], { seed, std: seed, mean: 5 }));
      const expected = (await Promise.all(hidden.map(valuesOf))).map((values) => {
        let total = 0;
        for (let token = 0; token < 6; token++) {
          const row = values.slice(65 * token, 65 * (token + 1));
          const mean = row.reduce((a, b) => a + b) / 65;
          total += row.reduce((sum, value) => sum + (value - mean) ** 2, 0) / 65;
        }
        return total / 6;
      });
      await expectClose(layerVariances(hidden), tensor1d(expected), { rtol: 1e-4 });
      await expectNoLeak(() => layerVariances(hidden));
    });

    it('refuses nothing, and shapes that differ', () => {
      expect(() => layerVariances([zeros([2, 3], 'int32')])).toThrow('layerVariances: hidden[0] must have dtype float32, got int32');
      expect(() => layerVariances([])).toThrow(new ConfigError('layerVariances: hidden must be at least one tensor, got none'));
      expect(() => layerVariances([ones([2, 3]), ones([1, 3])])).toThrow('layerVariances: hidden[1] must have shape [2, 3], got [1, 3]');
    });
  });

  describe('collectHidden(run)', () => {
    it('gives the stream before the first block and after each, and leaves nothing else', async () => {
      const model = gpt(SIZES);
      const [params, tokens] = [model.init({ seed: 1 }), ids(2, 7)];
      await expectNoLeak(() => collectHidden((observe) => model.apply(tokens, params, { observe })));
      const hidden = collectHidden((observe) => model.apply(tokens, params, { observe }));
      expect(hidden.map(({ shape }) => shape)).toEqual(Array.from({ length: 4 }, () => [2, 7, 12]));
      const again: Tensor[] = [];
      const withObserve: Observe = (name, value) => void (name === 'blocks.1.out' && again.push(keep(clone(value))));
      model.apply(tokens, params, { observe: withObserve });
      await expectClose(hidden[2]!, again[0]!);
    });

    it('says what a model kept to itself, and frees what it had', async () => {
      const told = (...names: readonly string[]) => () => collectHidden((observe) => names.forEach((name) => observe(name, kept)));
      const kept = ones([1, 1]);
      await expectNoLeak(told('embedding', 'blocks.1.out'), { throws: 'run must make a model that tells of blocks.0.out, got 2 others' });
      await expectNoLeak(told('blocks.0.out'), { throws: 'that tells of embedding, got 1 others' });
      await expectNoLeak(told('logits'), { throws: 'that tells of embedding, got 0 others' });
    });
  });

  describe('spectralNorms(params, specs)', () => {
    const spec = (shape: readonly number[], rest: Partial<ParamSpec> = {}): ParamSpec => ({ shape, axes: shape.map(() => 'in').join(' '), role: 'hidden', ...rest });

    it('are the largest singular values, of tall, wide and flattened matrices and of the parts of one', async () => {
      const params = {
        tall: randomOf([65, 7], { seed: 1 }), wide: randomOf([3, 130], { seed: 2 }),
        patches: randomOf([8, 3, 2, 2], { seed: 3 }), qkv: randomOf([9, 5], { seed: 4 }), one: tensor2d([[-3]]),
      };
      const specs = { tall: spec([65, 7]), wide: spec([3, 130]), patches: spec([8, 3, 2, 2]), qkv: spec([9, 5], { parts: [4, 3, 2] }), one: spec([1, 1]) };
      const found = await spectralNorms(params, specs, { iterations: 200 });
      const values = Object.fromEntries(await Promise.all(Object.entries(params).map(async ([name, x]) => [name, await valuesOf(x as Tensor)] as const)));
      for (const [name, rows, columns] of [['tall', 65, 7], ['wide', 3, 130], ['patches', 8, 12]] as const) {
        expect(found[name]![0]! / Math.sqrt(gramEigenvalue64(values[name]!, rows, columns))).toBeCloseTo(1, 4);
      }
      expect(found.one).toEqual([3]);
      [[0, 4], [4, 3], [7, 2]].forEach(([from, rows], i) => {
        expect(found.qkv![i]! / Math.sqrt(gramEigenvalue64(values.qkv!.slice(5 * from!, 5 * (from! + rows!)), rows!, 5))).toBeCloseTo(1, 4);
      });
    });

    it('approach it from below and scale with the matrix; 0 stays 0', async () => {
      const matrix = tidy(() => matMul(diag(tensor1d([5, 4.9, 1])), randomNormal([3, 3], { seed: 1 }) as Tensor2D));
      const at = async (w: Tensor, iterations: number): Promise<number> => (await spectralNorms({ w }, { w: spec([3, 3]) }, { iterations })).w![0]!;
      const [few, many] = [await at(matrix, 1), await at(matrix, 300)];
      expect(few).toBeLessThanOrEqual(many);
      expect(await at(mul(matrix, -4), 300) / many).toBeCloseTo(4, 4);
      expect(await at(zeros([3, 3]), 3)).toBe(0);
    });

    it('leave out embeddings, norms and biases of a model; leave no tensor behind', async () => {
      const model = gpt(SIZES);
      const params = model.init({ seed: 1 });
      const found = await spectralNorms(params as Tree<Tensor>, model.specs, { iterations: 2 });
      expect(Object.keys(found)).toEqual([0, 1, 2].flatMap((block) => ['attn.qkv', 'attn.proj', 'mlp.up', 'mlp.down'].map((name) => `blocks.${block}.${name}.weight`)));
      expect(found['blocks.0.attn.qkv.weight']).toHaveLength(3);
      await expectNoLeak(() => spectralNorms(params as Tree<Tensor>, model.specs, { iterations: 2 }).then(() => undefined));
    });

    it('refuse what they cannot find', async () => {
      await expect(spectralNorms({}, { w: spec([2, 2]) })).rejects.toThrow(new ConfigError('spectralNorms: params must have w, got 0 others'));
      await expect(spectralNorms({}, {}, { iterations: 0 })).rejects.toThrow('iterations must be an integer ≥ 1, got 0');
    });
  });
});
