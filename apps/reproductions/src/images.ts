import { argMax, dispose, tensor4d, tidy, type Tensor, type Tensor4D, type TensorContainer } from '@tensorflow/tfjs-core';
import type { GradientMethod, GradientTransform, ParamSpec, Params, Tree } from '@evenkeel/core-tensor';
import { imageBatch, normaliseImages, readCifar10, type Cifar10, type ImageBatch, type LabelledImages, type Pixels } from '@evenkeel/data';
import { linearLayer } from '@evenkeel/layers';
import type { VitTechniques } from '@evenkeel/models-vit';
import { adamw, cosine, decayMask } from '@evenkeel/optimizers';
import { train, type StepContext } from '@evenkeel/training';
import { byFanIn } from './initialisers.ts';
import type { Lab } from './lab.ts';

/** Small vision transformers start with what theirs do at the width of the papers. */
export const SMALL_VIT: VitTechniques = { linear: linearLayer({ initialiser: byFanIn }) };

/** cifar10 — the photographs to train with or to test with. */
export const cifar10 = async (lab: Lab, part: 'train-10k' | 'test-2k'): Promise<Cifar10> => readCifar10(await lab.bytes(`cifar10-${part}`));

/** Photographs with mean 0 and variance 1, about. */
export const normalisePhotos = normaliseImages({ mean: [0.49, 0.48, 0.45], std: [0.25, 0.24, 0.26] });

/** imageTensor — the images of a batch, `b h w c`, which are the caller's. */
export const imageTensor = ({ images, shape }: ImageBatch): Tensor4D => tensor4d(images, [...shape]);

/** ImageRun — how a model that takes images is trained. */
export type ImageRun<P extends Params, B> = {
  readonly model: { readonly specs: Tree<ParamSpec>; init(options: { seed: number }): P };
  readonly loss: (params: P, batch: B, context: StepContext) => Tensor;
  readonly batches: (step: number) => B | Promise<B>;
  readonly steps: number;
  readonly seed: number;
  readonly learningRate: number;
  readonly gradient?: GradientMethod;
  /** Is called after each step. */
  readonly onStep?: (step: number, params: P) => Promise<void>;
};

/** trainedOnImages — fresh values of a model after training by AdamW, which are the caller's, and the loss of each step. */
export async function trainedOnImages<P extends Params, B>({ model, loss, batches, steps, seed, learningRate, gradient, onStep }: ImageRun<P, B>): Promise<{ params: P; losses: number[] }> {
  const params = model.init({ seed });
  const losses: number[] = [];
  const schedule = cosine({ peak: learningRate, steps, warmup: Math.min(20, Math.floor(steps / 10)), floor: learningRate / 50 });
  try {
    await train<P, B>({
      params, loss, batches, steps, seed, ...(gradient && { gradient }),
      optimizer: adamw({ learningRate: schedule, beta2: 0.99, weightDecay: 0.05, mask: decayMask(model.specs) }) as GradientTransform,
      callbacks: { onStep: async ({ step, loss: value }) => { losses.push(value); await onStep?.(step, params); } },
    });
  } catch (error) {
    dispose(params as TensorContainer);
    throw error;
  }
  return { params, losses };
}

/** predictedClasses — the classes that each of some heads says of the images of some batches, one list per head. */
export async function predictedClasses(batches: readonly ImageBatch[], headsOf: (images: Tensor4D) => readonly Tensor[]): Promise<number[][]> {
  const predicted: number[][] = [];
  for (const batch of batches) {
    const classes = tidy(() => headsOf(imageTensor(batch)).map((logits) => argMax(logits, 1))); // b each
    for (const [i, each] of classes.entries()) (predicted[i] ??= []).push(...await each.data());
    dispose(classes);
  }
  return predicted;
}

/** inBatches — images in batches of `size`, to predict their classes. */
export function inBatches({ shape: [count, ...shape], images, labels }: LabelledImages, numClasses: number, size = 200): ImageBatch[] {
  const area = shape.reduce((product, each) => product * each, 1);
  return Array.from({ length: Math.ceil(count / size) }, (_, i) => {
    const ofPart = Array.from(labels).slice(i * size, (i + 1) * size);
    return imageBatch({ shape: [ofPart.length, ...shape], images: images.subarray(i * size * area, (i + 1) * size * area), labels: ofPart }, numClasses);
  });
}

/** bitmapUri — an image in colour as a data URI, for a page: as a BMP, which any machine writes without a library. */
export function bitmapUri({ shape: [height, width], pixels }: Pixels): string {
  const [head, stride] = [54, 4 * Math.ceil((3 * width) / 4)];
  const file = new Uint8Array(head + height * stride);
  const view = new DataView(file.buffer);
  file.set([0x42, 0x4d]); // BM
  for (const [at, value] of [[2, file.length], [10, head], [14, 40], [18, width], [22, height]] as const) view.setUint32(at, value, true);
  view.setUint16(26, 1, true); // planes
  view.setUint16(28, 24, true); // bits of a pixel
  for (let y = 0; y < height; y++) for (let x = 0; x < width; x++) for (let c = 0; c < 3; c++) file[head + (height - 1 - y) * stride + 3 * x + 2 - c] = pixels[3 * (y * width + x) + c] as number; // from below, blue first
  return `data:image/bmp;base64,${btoa(String.fromCharCode(...file))}`;
}
