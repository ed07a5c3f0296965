import { readConll, readSquad, sourceStatistics } from '@evenkeel/data';
import { specialTokens } from '@evenkeel/models-bert';
import { widthOf } from '../bert/savedBert.ts';
import { checkCheckpointDirectory, checkpointKind, loadTokenizerOf } from '../checkpointDirectory.ts';
import { UsageError } from '../errors.ts';
import { isListOf, isText } from '../fields.ts';
import type { Facts, Family, Task } from '../task.ts';
import type { TrainFlags } from '../trainModel.ts';
import { sizesOf } from '../vit/savedVit.ts';
import { openSplit } from '../vit/vitImages.ts';
import { AUGMENTATION_TESTS, augmentationSettings, checkAugmentation } from '../vit/vitSettings.ts';
import { hasAdapters } from './adapters.ts';
import { checkFinetuneFlags, FINETUNE_TESTS, newFinetuneSettings, withData, type FinetuneFlags, type FinetuneSettings } from './finetuneSettings.ts';
import { checkpointFingerprint, fingerprintOf } from './fingerprint.ts';
import { imageClassificationTask } from './imageClassification.ts';
import { questionAnsweringTask, withAnswers } from './questionAnswering.ts';
import { recipeOf } from './recipes.ts';
import { textClassificationTask } from './textClassification.ts';
import { readClassExamples, readScoredExamples, split } from './textExamples.ts';
import { textRegressionTask } from './textRegression.ts';
import { checkTags, tagsIn, tokenClassificationTask } from './tokenClassification.ts';
import { tunedBert } from './tunedBert.ts';

type Flagged = FinetuneFlags & TrainFlags;

/** TuningFacts — what `run.json` keeps of the examples. */
type TuningFacts = { readonly classes: readonly string[]; readonly fingerprint: string };

/** finetuneFamily — `finetune`: a task for a model that was trained before. */
export const finetuneFamily: Family<FinetuneSettings, Flagged> = {
  command: 'finetune', slug: 'finetune', title: 'Fine-tuning run',
  subtitle: ({ task, data, checkpoint }) => `${task} on ${data}, from ${checkpoint}`,
  listed: (settings) => Object.fromEntries(Object.entries(settings).filter(([name, value]) => value !== null && (recipeOf(settings.task).kind === 'image-classification' || !Object.hasOwn(AUGMENTATION_TESTS, name)))),
  tests: { settings: FINETUNE_TESTS, facts: { classes: isListOf(isText), fingerprint: isText } },
  begin: async (given, { device }) => {
    const flags = await withData(given);
    checkFinetuneFlags(flags);
    checkNoAdapters(flags.checkpoint);
    checkCheckpointDirectory(flags.checkpoint, 'BERT, RoBERTa, ViT or DeiT');
    await checkTask(flags);
    const found = await examplesOf({ ...provisional(flags) });
    await found.check?.();
    const dim = recipeOf(flags.task).kind === 'image-classification' ? undefined : await widthOf(flags.checkpoint);
    const settings = newFinetuneSettings(flags, found.count, augmentationSettings(flags, found.channels ?? 3), dim);
    checkAugmentation(settings, flags.given);
    await device();
    const facts: TuningFacts = { classes: found.classes, fingerprint: await fingerprint(settings, found) };
    return { settings, facts, task: await found.task(settings) };
  },
  check: () => {},
  open: async (settings, facts: Facts) => {
    const found = await examplesOf(settings);
    if (await fingerprint(settings, found) !== facts['fingerprint']) throw new UsageError(`--resume must find the data and the checkpoint with which the run was begun, got others in ${settings.data} or ${settings.checkpoint}`);
    return found.task(settings);
  },
};

/** That the model is no adapters of another one. */
function checkNoAdapters(checkpoint: string): void {
  if (hasAdapters(checkpoint)) throw new UsageError(`--checkpoint must be a whole model, got adapters in ${checkpoint}, which cannot be fine-tuned further; begin with the model that they belong to`);
}

/** The settings of which the examples depend, before the number of steps is known. */
const provisional = (flags: Flagged & Pick<FinetuneSettings, 'checkpoint' | 'task' | 'data'>): FinetuneSettings => newFinetuneSettings({ ...flags, batchSize: 1, steps: 1 }, 1, augmentationSettings(flags, 3));

async function fingerprint({ data, valData, checkpoint }: FinetuneSettings, { fingerprint: ofImages }: Examples): Promise<string> {
  return `${ofImages ?? await fingerprintOf([data, ...(valData === null ? [] : [valData])])} ${await checkpointFingerprint(checkpoint)}`;
}

/** Examples — how many there are to train on, their classes, and what becomes of them with all settings. */
type Examples = { readonly count: number; readonly classes: readonly string[]; readonly fingerprint?: string; /** Of the images as they are. */ readonly channels?: number; /** What a new run finds out before its first step, and one that goes on has found out. */ readonly check?: () => Promise<unknown>; readonly task: (settings: FinetuneSettings) => Promise<Task> };

async function examplesOf(settings: FinetuneSettings): Promise<Examples> {
  const { task, checkpoint, data, valData } = settings;
  const { kind } = recipeOf(task);
  if (kind === 'image-classification') return imagesOf(settings);
  const tokenizer = await loadTokenizerOf(checkpoint, 'finetune');
  const words = { tokenizer, specials: specialTokens(tokenizer, checkpoint) };
  if (kind === 'qa') {
    const [all, val] = [withAnswers(await readSquad(data), tokenizer, data), valData === null ? undefined : withAnswers(await readSquad(valData), tokenizer, valData)];
    const examples = split(all.examples, val?.examples, settings);
    const notes = [...all.notes, ...val?.notes ?? []];
    return { count: examples.train.length, classes: [], task: async (given) => questionAnsweringTask(given, { tuned: await tunedBert(given, 'span'), words, examples, notes }) };
  }
  if (kind === 'token-classification') {
    const [sentences, valSentences] = [await readConll(data), valData === null ? undefined : await readConll(valData)];
    const classes = tagsIn(sentences);
    if (classes.length < 2) throw new UsageError(`--data must have two different tags or more, got ${classes.join()} alone in ${data}`);
    if (valSentences !== undefined) checkTags(valSentences, classes, valData as string);
    const examples = split(sentences, valSentences, settings);
    return { count: examples.train.length, classes, task: async (all) => tokenClassificationTask(all, { tuned: await tunedBert(all, 'tokenClassification', classes), words, examples, classes }) };
  }
  if (kind === 'regression') {
    const { notes, ...examples } = await readScoredExamples(settings);
    return { count: examples.train.length, classes: [], task: async (all) => textRegressionTask(all, { tuned: await tunedBert(all, 'regression'), words, examples, notes }) };
  }
  const { classes, notes, ...examples } = await readClassExamples(settings);
  return {
    count: examples.train.length, classes,
    task: async (all) => textClassificationTask(all, { tuned: await tunedBert(all, 'classification', classes), words, examples, classes, notes }),
  };
}

async function imagesOf(settings: FinetuneSettings): Promise<Examples> {
  const { size, channels } = await sizesOf(settings.checkpoint);
  const images = await openSplit({ ...settings, size });
  const { classes, train } = images;
  const check = (): Promise<unknown> => Promise.all([train, images.val].map(sourceStatistics)); // reads each image once: what cannot be decoded is found now
  return { count: train.labels.length, classes, fingerprint: images.fingerprint, channels: train.shape[2], check, task: (all) => imageClassificationTask(all, { images, classes, channels }) };
}

/** That the model reads what the task is about. */
async function checkTask({ checkpoint, task }: Pick<FinetuneSettings, 'checkpoint' | 'task'>): Promise<void> {
  const [reads, wants] = [await checkpointKind(checkpoint), recipeOf(task).kind === 'image-classification' ? 'image' : 'text'];
  if (reads !== wants) throw new UsageError(`--task ${task} must have a checkpoint of ${wants === 'image' ? 'a ViT or DeiT' : 'a BERT or RoBERTa'}, got one that reads ${reads}s in ${checkpoint}`);
}
