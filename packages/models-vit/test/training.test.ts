import { tensor4d, tensor2d, tidy, type Tensor } from '@tensorflow/tfjs-core';
import { describe, expect, it, beforeAll } from 'vitest';
import { valueAndGrad } from '@evenkeel/core-tensor';
import { augmentations, dataset, imageLoader, imageSource, normaliseImages, randomCrop, randomFlip, readCifar10, type ImageBatch, type ImageSource } from '@evenkeel/data';
import { stochasticDepth } from '@evenkeel/layers';
import { vit, type Vit } from '@evenkeel/models-vit';
import { adamw, applyUpdates } from '@evenkeel/optimizers';
import { useBackend } from '@evenkeel/testing';

beforeAll(async () => { expect(await useBackend('evenkeel-wasm')).toBeUndefined(); });

/** CIFAR-10 where EVENKEEL_DATA has it; else images of ten colours. */
async function images(): Promise<ImageSource> {
  if (process.env['EVENKEEL_DATA'] !== undefined) return imageSource(await readCifar10((await dataset('cifar10-train-10k')).bytes));
  const labels = Array.from({ length: 640 }, (_, i) => i % 10);
  const colourOf = (label: number, channel: number): number => ((label + 1) * 53 * (channel + 1)) % 215;
  const pixels = Uint8Array.from({ length: 640 * 3072 }, (_, i) => colourOf(labels[Math.floor(i / 3072)] as number, i % 3) + ((i * 7919) % 41));
  return imageSource({ shape: [640, 32, 32, 3], labels, images: pixels });
}

const tensors = ({ images: values, shape, targets, numClasses }: ImageBatch) => ({ images: tensor4d(values, [...shape]), targets: tensor2d(targets, [shape[0], numClasses]) });

async function losses(model: Vit, source: ImageSource, steps: number): Promise<number[]> {
  const params = model.init({ seed: 1 });
  const optimizer = adamw({ learningRate: 3e-3, weightDecay: 0.05 });
  const state = optimizer.init(params);
  const augment = augmentations(randomCrop(), randomFlip(), normaliseImages({ mean: [0.49, 0.48, 0.45], std: [0.25, 0.24, 0.26] }));
  const loader = imageLoader(source, { batchSize: 32, seed: 1, numClasses: 10, augment });
  const all: number[] = [];
  for (let step = 0; step < steps; step++) {
    const batch = await loader.batch(step);
    const loss: Tensor = tidy(() => {
      const { value, grads } = valueAndGrad((p) => model.loss(tensors(batch), p, { train: true, seed: step }), params);
      applyUpdates(params, optimizer.update(grads, state, params));
      return value;
    });
    all.push((await loss.data())[0]!);
    loss.dispose();
  }
  return all;
}
const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;

describe('training on images of 32 × 32 pixels', () => {
  it.each([false, true])('the loss falls well below that of guessing, distilled %s', async (distilled) => {
    const model = vit({ imageSize: 32, patchSize: 8, numClasses: 10, depth: 2, dim: 48, numHeads: 4, distilled, branch: stochasticDepth({ rate: 0.1 }) });
    const all = await losses(model, await images(), 80);
    expect(mean(all.slice(0, 3))).toBeGreaterThan(Math.log(10) - 0.1);
    expect(mean(all.slice(-10))).toBeLessThan(Math.log(10) - 0.1);
  }, 180_000);
});
