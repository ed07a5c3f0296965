import { dispose, tensor2d, tensor4d, type Tensor, type Tensor4D } from '@tensorflow/tfjs-core';
import { foldSeed } from '@evenkeel/core-tensor';
import { imageLoader, sourceStatistics, type NormaliseOptions } from '@evenkeel/data';
import { accuracy } from '@evenkeel/models-bert';
import type { VitParams } from '@evenkeel/models-vit';
import { following } from '../average.ts';
import { UsageError } from '../errors.ts';
import { isListOf, isCount, isNumber, isText } from '../fields.ts';
import { formatCount } from '../format.ts';
import { imageConclusion } from '../imageConclusion.ts';
import { judgeImages, spread } from '../imageClasses.ts';
import { EPS_OF_STEPS, optimizerFor } from '../optimizer.ts';
import { withPlainParams } from '../plainParams.ts';
import { parameterCount } from '../statistics.ts';
import type { Facts, Family, Task } from '../task.ts';
import { PLAIN_COMMON, techniquesInWords } from '../techniques.ts';
import type { TrainFlags } from '../trainModel.ts';
import { augmentationOf } from './augmentation.ts';
import { saveVitModel } from './savedVit.ts';
import { checkSame, openSplit, type SplitImages } from './vitImages.ts';
import { trainedVitOf, vitOf } from './vitModel.ts';
import { checkVitSettings, newVitSettings, VIT_TESTS, type TrainVitFlags, type VitSettings } from './vitSettings.ts';

/** Images of an evaluation during training. */
const EVAL_IMAGES = 1000;

/** What `run.json` keeps of the images. */
const FACTS = { classes: isListOf(isText), channels: isCount, mean: isListOf(isNumber), std: isListOf(isNumber), fingerprint: isText } as const;
type VitFacts = { readonly classes: readonly string[]; readonly channels: number; readonly fingerprint: string } & NormaliseOptions;

/** vitFamily — `train vit`: classes of images. */
export const vitFamily: Family<VitSettings, TrainVitFlags & TrainFlags> = {
  command: 'train vit', slug: 'vit', title: 'ViT training run',
  tests: { settings: VIT_TESTS, facts: FACTS },
  begin: async (flags, { device }) => {
    const images = await openSplit({ data: flags.data ?? null, valData: flags.valData ?? null, valFraction: flags.valFraction, seed: flags.seed, ...(flags.imageSize !== undefined && { size: flags.imageSize }) });
    const { train: { shape: [height, width, channels], labels }, classes, fingerprint, val } = images;
    if (height !== width) throw new UsageError(`--image-size must be given for images that are not square, got ${height} × ${width} pixels in ${images.name}`);
    const settings = newVitSettings(flags, { size: height, channels, count: labels.length });
    if (labels.length < settings.batchSize / settings.repeatedAugmentation) throw new UsageError(`--data must hold at least the ${settings.batchSize / settings.repeatedAugmentation} images of a batch, got ${labels.length} to train on in ${images.name}`);
    await device();
    const statistics = await sourceStatistics(images.train);
    await sourceStatistics(val); // reads each of them once: what cannot be decoded is found now
    return { settings, facts: { classes, channels, ...statistics, fingerprint } satisfies VitFacts };
  },
  check: (settings) => checkVitSettings(settings),
  open: async (settings, facts) => {
    const { imageSize, isScaled } = settings;
    const images = await openSplit({ ...settings, ...(isScaled && { size: imageSize }) });
    checkSame(images, facts);
    return vitTask(settings, facts as VitFacts & Facts, images);
  },
};

function vitTask(settings: VitSettings, { classes, channels, mean, std }: VitFacts, images: SplitImages): Task {
  const { imageSize, patchSize, depth, dim, numHeads, dropout, seed, batchSize, repeatedAugmentation: repeats } = settings;
  const model = trainedVitOf({ imageSize, patchSize, channels, numClasses: classes.length, depth, dim, numHeads, dropout }, settings);
  const params = model.init({ seed: foldSeed(seed, 'init') });
  const follows = following(model.state, params, settings.ema);
  const statistics = { mean, std };
  const { optimizer, schedule } = optimizerFor(settings, model.specs);
  const loader = imageLoader(images.train, {
    batchSize, repeats, seed: foldSeed(seed, 'data'), numClasses: classes.length, augment: augmentationOf(settings, statistics, { size: imageSize, channels }),
  });
  const ofNow = { model, params, state: follows.layers, statistics };
  const count = images.val.labels.length;
  const judge = (most: number) => follows.withAverage(() => judgeImages(ofNow, images.val, spread(count, most), batchSize));
  return {
    params, optimizer, schedule, stepEps: EPS_OF_STEPS[settings.optimizer],
    ...(follows.modelState && { modelState: follows.modelState }),
    batches: async (step) => {
      const { images: values, shape, targets, numClasses } = await loader.batch(step);
      return { images: tensor4d(values, [...shape]), targets: tensor2d(targets, [shape[0], numClasses]) };
    },
    loss: (leaves, batch, call) => model.loss(batch as { images: Tensor4D; targets: Tensor }, leaves as unknown as VitParams, follows.ofLayers(call)),
    ...(count > 0 && {
      evaluate: async () => {
        const { loss, predicted, labels } = await judge(EVAL_IMAGES);
        return { loss, values: { accuracy: accuracy(predicted, labels) } };
      },
    }),
    perStep: { count: batchSize, unit: 'images' },
    facts: { classes, mean, std },
    about: aboutOf(settings, images, classes, parameterCount(params), channels),
    save: (directory) => follows.withAverage(() => withPlainParams(params, follows.layers, (plain, isFolded) => saveVitModel(
      directory, { model: isFolded ? vitOf(model.config, settings) : model, params: plain, classes, statistics }, settings))),
    conclude: async (io) => {
      if (count > 0) io.line(`evaluating on ${formatCount(count)} images …`);
      return imageConclusion(count > 0 ? await judge(Infinity) : undefined, { classes, source: images.val });
    },
    dispose: () => {
      dispose(params as never);
      follows.dispose();
    },
  };
}

function aboutOf(settings: VitSettings, { name, train, val }: SplitImages, classes: readonly string[], parameters: number, channels: number): Task['about'] {
  const { imageSize, patchSize, depth, dim, numHeads, augment } = settings;
  const techniques = techniquesInWords<Partial<VitSettings>>(settings, { ...PLAIN_COMMON, mixup: 0, cutmix: 0, labelSmoothing: 0, repeatedAugmentation: 1, dropPath: 0, layerScale: 0, ema: 0 });
  return [
    ['data', name],
    ['', `${formatCount(train.labels.length)} images of ${imageSize} × ${imageSize} × ${channels} to train, ${formatCount(val.labels.length)} to validate, ${classes.length} classes`],
    ['model', `${formatCount(parameters)} parameters: depth ${depth}, dim ${dim}, ${numHeads} heads, patches of ${patchSize} × ${patchSize}`],
    ['with', `--augment ${augment}${techniques === '' ? '' : ` ${techniques}`}`],
  ];
}
