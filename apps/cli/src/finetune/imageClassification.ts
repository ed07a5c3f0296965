import { foldSeed } from '@evenkeel/core-tensor';
import { lora } from '@evenkeel/layers';
import { accuracy, fineTuningOptimizer, fineTuningSchedule } from '@evenkeel/models-bert';
import { saveVitLora, type VitParams } from '@evenkeel/models-vit';
import { following } from '../average.ts';
import { channelNotes, withChannels } from '../channels.ts';
import { counted, formatCount } from '../format.ts';
import { imageConclusion } from '../imageConclusion.ts';
import { parameterCount } from '../statistics.ts';
import type { Task } from '../task.ts';
import { imageTask } from '../vit/imageTask.ts';
import { isVitHead, loadVitModel, saveStatistics, saveVitModel } from '../vit/savedVit.ts';
import type { SplitImages } from '../vit/vitImages.ts';
import { adaptersInWords, saveAdapterHead, trainedPart } from './adapters.ts';
import { keepingBest } from './bestModel.ts';
import { concludeTuning } from './concludeTuning.ts';
import type { FinetuneSettings } from './finetuneSettings.ts';

/** imageClassificationTask — classes of images, for a ViT or DeiT with a fresh head; images are scaled to the size that it was trained with. */
export async function imageClassificationTask(settings: FinetuneSettings, { images, classes, channels }: { images: SplitImages; classes: readonly string[]; channels: number }): Promise<Task> {
  const { checkpoint, seed, learningRate, weightDecay, steps, lora: rank, dropout } = settings;
  const loaded = await loadVitModel(checkpoint, { numClasses: classes.length, seed: foldSeed(seed, 'init'), ...(rank > 0 && { linear: lora({ rank }) }), ...(dropout !== null && { dropout }) });
  const { model, params, statistics, techniques, layout } = loaded;
  const part = trainedPart<VitParams>(model.specs, params, { rank, isHead: isVitHead });
  const matched = { ...images, train: withChannels(images.train, channels), val: withChannels(images.val, channels) };
  const { judge, ...task } = imageTask({
    settings, model, params, part, follows: following(model.state, params), statistics, classes, images: matched,
    optimizer: fineTuningOptimizer(part.specs, { learningRate, weightDecay, steps }), schedule: fineTuningSchedule({ learningRate, steps }),
  });
  const { imageSize, patchSize, depth, dim, numHeads } = model.config;
  const count = images.val.labels.length;
  const save = async (directory: string): Promise<void> => {
    if (rank === 0) return saveVitModel(directory, { model, params, classes, statistics }, techniques, layout);
    await saveVitLora(directory, model, params, { base: checkpoint });
    await saveStatistics(directory, imageSize, statistics);
    return saveAdapterHead(directory, {}, classes);
  };
  return {
    ...task, save, stepEps: 1e-6, ...(rank > 0 && { modelSize: parameterCount(params) }),
    ...(task.evaluate && { evaluated: keepingBest('accuracy', save) }),
    about: [
      ['data', images.name], ['', `${counted(images.train.labels.length, 'image')} to train, ${formatCount(count)} to validate, ${classes.length} classes`],
      ...channelNotes(images.train, channels).map((note) => ['', note] as const),
      ['model', `${checkpoint}: ${formatCount(parameterCount(params))} parameters: depth ${depth}, dim ${dim}, ${numHeads} heads, images of ${imageSize} × ${imageSize} in patches of ${patchSize} × ${patchSize}${adaptersInWords(rank, part.size, parameterCount(params))}`],
    ],
    conclude: async (io, directory) => {
      if (count === 0) return concludeTuning(directory, {});
      io.line(`evaluating on ${counted(count, 'image')} …`);
      const found = await judge(Infinity);
      const { sections = [] } = await imageConclusion(found, { classes, source: matched.val });
      return concludeTuning(directory, { loss: found.loss, values: { accuracy: accuracy(found.predicted, found.labels) }, of: counted(count, 'image'), sections });
    },
  };
}
