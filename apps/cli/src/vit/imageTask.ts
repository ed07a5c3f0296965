import { dispose, tensor2d, tensor4d, type Tensor, type Tensor4D } from '@tensorflow/tfjs-core';
import { foldSeed, type GradientTransform, type Params, type Schedule, type Tree } from '@evenkeel/core-tensor';
import { imageLoader, type NormaliseOptions } from '@evenkeel/data';
import { accuracy } from '@evenkeel/models-bert';
import type { Vit, VitParams } from '@evenkeel/models-vit';
import type { Following } from '../average.ts';
import { judgeImages } from '../imageClasses.ts';
import type { Judged } from '../classified.ts';
import type { TrainedPart } from '../finetune/adapters.ts';
import { spread } from '../statistics.ts';
import type { Task } from '../task.ts';
import { augmentationOf } from './augmentation.ts';
import type { SplitImages } from './vitImages.ts';
import type { AugmentationSettings } from './vitSettings.ts';

/** Images of an evaluation during training. */
const EVAL_IMAGES = 1000;

export type ImageTaskOptions = {
  readonly settings: AugmentationSettings & { readonly batchSize: number; readonly seed: number };
  readonly model: Vit;
  readonly params: Params & VitParams;
  /** What of them is trained; default all. */
  readonly part?: TrainedPart<VitParams>;
  readonly follows: Following;
  readonly optimizer: GradientTransform;
  readonly schedule: Schedule;
  readonly statistics: NormaliseOptions;
  readonly classes: readonly string[];
  readonly images: SplitImages;
};

/** ImageTask — a task without what is said of it and how its model is saved. */
export type ImageTask = Omit<Task, 'about' | 'save' | 'conclude'> & { /** What the model makes of so many validation images. */ judge(most: number): Promise<Judged> };

/** imageTask — classes of images, whether a model is trained from scratch or fine-tuned. */
export function imageTask({ settings, model, params, part, follows, optimizer, schedule, statistics, classes, images }: ImageTaskOptions): ImageTask {
  const { batchSize, seed, repeatedAugmentation: repeats } = settings;
  const [size, , channels] = images.train.shape;
  const loader = imageLoader(images.train, {
    batchSize, repeats, seed: foldSeed(seed, 'data'), numClasses: classes.length, augment: augmentationOf(settings, statistics, { size, channels }),
  });
  const ofNow = { model, params, state: follows.layers, statistics };
  const count = images.val.labels.length;
  const judge = (most: number) => follows.withAverage(() => judgeImages(ofNow, images.val, spread(count, most), batchSize));
  return {
    params: part?.trained ?? params, optimizer, schedule, judge,
    ...(follows.modelState && { modelState: follows.modelState }),
    batches: async (step) => {
      const { images: values, shape, targets, numClasses } = await loader.batch(step);
      return { images: tensor4d(values, [...shape]), targets: tensor2d(targets, [shape[0], numClasses]) };
    },
    loss: (leaves, batch, call) => model.loss(batch as { images: Tensor4D; targets: Tensor }, (part?.join(leaves as Tree<Tensor>) ?? leaves) as VitParams, follows.ofLayers(call)),
    ...(count > 0 && {
      evaluate: async () => {
        const { loss, predicted, labels } = await judge(EVAL_IMAGES);
        return { loss, values: { accuracy: accuracy(predicted, labels) } };
      },
    }),
    perStep: { count: batchSize, unit: 'images' },
    facts: { classes, mean: statistics.mean, std: statistics.std },
    dispose: () => {
      dispose(params as never);
      follows.dispose();
    },
  };
}
