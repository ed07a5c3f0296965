import { foldSeed } from '@evenkeel/core-tensor';
import { sourceStatistics, type NormaliseOptions } from '@evenkeel/data';
import { following } from '../average.ts';
import { UsageError } from '../errors.ts';
import { isListOf, isCount, isNumber, isText } from '../fields.ts';
import { counted, formatCount } from '../format.ts';
import { imageConclusion } from '../imageConclusion.ts';
import { EPS_OF_STEPS, optimizerFor } from '../optimizer.ts';
import { withPlainParams } from '../plainParams.ts';
import { parameterCount } from '../statistics.ts';
import type { Facts, Family, Task } from '../task.ts';
import { PLAIN_COMMON, techniquesInWords } from '../techniques.ts';
import type { TrainFlags } from '../trainModel.ts';
import { imageTask } from './imageTask.ts';
import { saveVitModel } from './savedVit.ts';
import { checkSame, openSplit, type SplitImages } from './vitImages.ts';
import { trainedVitOf, vitOf } from './vitModel.ts';
import { checkVitSettings, newVitSettings, VIT_TESTS, type TrainVitFlags, type VitSettings } from './vitSettings.ts';

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
    const facts: VitFacts = { classes, channels, ...statistics, fingerprint };
    return { settings, facts, task: vitTask(settings, facts, images) };
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
  const { imageSize, patchSize, depth, dim, numHeads, dropout, seed } = settings;
  const model = trainedVitOf({ imageSize, patchSize, channels, numClasses: classes.length, depth, dim, numHeads, dropout }, settings);
  const params = model.init({ seed: foldSeed(seed, 'init') });
  const follows = following(model.state, params, settings.ema);
  const statistics = { mean, std };
  const { judge, ...task } = imageTask({ settings, model, params, follows, ...optimizerFor(settings, model.specs), statistics, classes, images });
  const count = images.val.labels.length;
  return {
    ...task, stepEps: EPS_OF_STEPS[settings.optimizer],
    about: aboutOf(settings, images, classes, parameterCount(params), channels),
    save: (directory) => follows.withAverage(() => withPlainParams(params, follows.layers, (plain, isFolded) => saveVitModel(
      directory, { model: isFolded ? vitOf(model.config, settings) : model, params: plain, classes, statistics }, settings))),
    conclude: async (io) => {
      if (count > 0) io.line(`evaluating on ${counted(count, 'image')} …`);
      return imageConclusion(count > 0 ? await judge(Infinity) : undefined, { classes, source: images.val });
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
