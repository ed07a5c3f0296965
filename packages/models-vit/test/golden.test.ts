import { readFileSync } from 'node:fs';
import { dispose, tensor, tensor1d, tensor4d, tidy, type Tensor } from '@tensorflow/tfjs-core';
import { describe, expect, it } from 'vitest';
import { treeEntries, valueAndGrad, type Tree } from '@evenkeel/core-tensor';
import { patchWeightToConvolution } from '@evenkeel/layers';
import { loadVit, vitNames } from '@evenkeel/models-vit';
import { expectClose, forEachBackend } from '@evenkeel/testing';

type Stored = { shape: number[]; values: number[] };
type Golden = { header: { regenerate: string }; images: Stored; labels: number[]; cls: Stored; dist?: Stored; loss: number; gradients: Record<string, Stored> };

const goldenOf = (name: string): Golden => JSON.parse(readFileSync(`${import.meta.dirname}/golden/${name}.json`, 'utf8')) as Golden;
const directory = (name: string): string => `${import.meta.dirname}/golden/${name}`;
const batchOf = ({ images, labels }: Golden) => ({ images: tensor4d(Float32Array.from(images.values), images.shape as [number, number, number, number]), targets: tensor1d(labels, 'int32') });

/** Relative to the largest value of the tensor. */
async function expectRelative(actual: Tensor, expected: Stored, tolerance: number): Promise<void> {
  const largest = expected.values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  expect(actual.size).toBe(expected.values.length);
  await expectClose(actual.shape.join() === expected.shape.join() ? actual : tensor(await actual.data(), expected.shape), Float64Array.from(expected.values), { rtol: 0, atol: tolerance * largest });
}

forEachBackend(() => {
  describe.each(['vit', 'deit'])('a %s written by PyTorch', (name) => {
    const golden = goldenOf(name);

    it.each(['hf', 'timm'])('loadVit(…-%s) gives PyTorch\'s logits and loss to 1e-5', async (layout) => {
      const { model, params } = await loadVit(directory(`${name}-${layout}`));
      expect(model.config).toMatchObject({ imageSize: 8, patchSize: 4, channels: 3, numClasses: 5, depth: 2, dim: 12, numHeads: 3, hiddenDim: 48, distilled: name === 'deit', normEps: 1e-6 });
      const batch = batchOf(golden);
      const { cls, dist } = model.heads(batch.images, params);
      await expectRelative(cls, golden.cls, 1e-5);
      expect(dist === undefined).toBe(golden.dist === undefined);
      if (dist !== undefined) await expectRelative(dist, golden.dist!, 1e-5);
      const mean: Stored = golden.dist === undefined ? golden.cls : { shape: golden.cls.shape, values: golden.cls.values.map((value, i) => (value + golden.dist!.values[i]!) / 2) };
      await expectRelative(model.apply(batch.images, params), mean, 1e-5);
      expect(Math.abs((await model.loss(batch, params).data())[0]! / golden.loss - 1)).toBeLessThan(1e-5);
      dispose(params as never);
    });

    it('valueAndGrad gives PyTorch\'s gradient of every parameter to 1e-4', async () => {
      const { model, params } = await loadVit(directory(`${name}-timm`));
      const { grads } = valueAndGrad((p) => model.loss(batchOf(golden), p), params);
      const byPath = new Map(treeEntries<Tensor>(grads as unknown as Tree<Tensor>));
      const names = vitNames('timm', model.config, model.specs);
      expect(names.map(({ name: each }) => each).sort()).toEqual(Object.keys(golden.gradients).sort());
      for (const { path, name: timmName } of names) {
        const grad = byPath.get(path)!;
        const converted = path === 'patchEmbedding.weight' ? tidy(() => patchWeightToConvolution(grad, 4)) : grad;
        await expectRelative(converted, golden.gradients[timmName as string]!, 1e-4);
      }
      dispose([params, grads] as never);
    });
  });
});
