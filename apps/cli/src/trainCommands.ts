import { Option, type Command } from 'commander';
import { finish } from './finish.ts';
import { nonEmpty, oneOf, realNumber, wholeNumber } from './flags.ts';
import type { Io } from './output.ts';
import { ARCHS, PRESETS, SEQUENCES, TASK_KINDS } from './techniqueNames.ts';
import { augmentationFlags, commonTechniqueFlags, contextFlag, dataFlags, deviceFlag, learningRateFlag, PRECISIONS, runFlags, sizeFlags, techniqueFlags } from './trainFlags.ts';
import type { Family } from './task.ts';
import type { RunSettings } from './runSettings.ts';
import type { TrainFlags } from './trainModel.ts';

/** trainCommands — `train gpt`, `train bert`, `train vit`. */
export function trainCommands(train: Command): void {
  gptFlags(train.command('gpt'));
  bertFlags(train.command('bert'));
  vitFlags(train.command('vit'));
}

function gptFlags(command: Command): void {
  command.description('train a GPT on text').addHelpText('after', '\nSee also: train bert --help, train vit --help');
  contextFlag(sizeFlags(dataFlags(command), { steps: '2000; without --data about a minute', batchSize: 12, of: 'sequences' }), 64);
  techniqueFlags(learningRateFlag(command));
  runs(runFlags(command, 'gpt'), async () => (await import('./gpt/gptFamily.ts')).gptFamily);
}

function bertFlags(command: Command): void {
  command.description('train a BERT on text, by masked tokens')
    .option('--data <path>', "a text file, or a directory of them (default: TypeScript's library declarations)", nonEmpty('--data', 'a path'))
    .option('--sequence <what>', 'what is a sequence: a line, or a paragraph between empty lines', oneOf('--sequence', SEQUENCES), 'line')
    .option('--tokenizer <kind>', 'wordpiece (learned from the data), or the path of a tokenizer.json', nonEmpty('--tokenizer', 'wordpiece or a path'), 'wordpiece')
    .option('--vocab-size <n>', 'tokens of a tokenizer that is trained (default: 4096)', wholeNumber('--vocab-size', { min: 16, max: 1 << 20 }))
    .option('--keep-case', 'tell capital letters apart, in a tokenizer that is trained')
    .option('--val-fraction <x>', 'share of the data kept for validation', realNumber('--val-fraction', { min: 0, below: 1 }), 0.1)
    .option('--arch <name>', 'bert, or mosaic: ALiBi, gated MLP, no padding', oneOf('--arch', ARCHS), 'bert')
    .option('--mask-rate <x>', 'share of the tokens that are masked (default: 0.15, 0.3 for mosaic)', realNumber('--mask-rate', { above: 0, below: 1 }));
  contextFlag(sizeFlags(command, { steps: '2000; without --data 400', batchSize: 32, of: 'sequences' }), 128);
  commonTechniqueFlags(learningRateFlag(command), "BERT's own, like post");
  runs(runFlags(command, 'bert'), async () => (await import('./bert/bertFamily.ts')).bertFamily);
}

function vitFlags(command: Command): void {
  command.description('train a vision transformer on images')
    .option('--data <path>', "a folder of images per class, CIFAR-10's .bin, or an IDX file (default: MNIST's test set)", nonEmpty('--data', 'a path'))
    .option('--val-data <path>', 'images to validate with (default: a share of --data)', nonEmpty('--val-data', 'a path'))
    .option('--val-fraction <x>', 'share of the images kept for validation', realNumber('--val-fraction', { min: 0, below: 1 }), 0.1)
    .option('--image-size <n>', 'scales images to squares of so many pixels (default: as they are)', wholeNumber('--image-size', { min: 1, max: 4096 }))
    .option('--patch-size <n>', 'pixels along a patch (default: 4, 7 for images of 28, 16 above 64)', wholeNumber('--patch-size', { min: 1, max: 4096 }));
  sizeFlags(command, { steps: '1000; without --data 600', batchSize: 64, of: 'images' })
    .option('--epochs <x>', 'the number of steps as passes over the images', realNumber('--epochs', { above: 0 }));
  augmentationFlags(command)
    .option('--drop-path <p>', 'probability of leaving out a residual branch of the last block (default: 0; 0.1 with deit)', realNumber('--drop-path', { min: 0, below: 1 }))
    .addOption(new Option('--layer-scale [x]', 'factors of residual branches, which start at 1e-4 if not said (default: none)').preset('1e-4').argParser(realNumber('--layer-scale', { min: 0 })))
    .addOption(new Option('--ema [decay]', 'validates and saves the average of the parameters, with decay 0.999 if not said (default: none)').preset('0.999').argParser(realNumber('--ema', { min: 0, below: 1 })));
  commonTechniqueFlags(learningRateFlag(command));
  runs(runFlags(command, 'vit'), async () => (await import('./vit/vitFamily.ts')).vitFamily);
}

/** finetuneFlags — `finetune`. */
export function finetuneFlags(command: Command): void {
  const [kinds, presets] = [TASK_KINDS.join(', '), PRESETS.join(', ')];
  command.description('fine-tune a model that was trained before')
    .option('--checkpoint <dir>', 'a run directory of train bert or vit, or one of Hugging Face or timm (required)', nonEmpty('--checkpoint', 'a path'))
    .option('--task <name>', `${kinds}; or one of GLUE with its recipe: ${presets} (required)`, oneOf('--task', [...TASK_KINDS, ...PRESETS]))
    .option('--data <path>', 'the examples: TSV, CSV, JSON or JSON lines; SQuAD, CoNLL or images, as the task wants (required; sst2 and cola are fetched without)', nonEmpty('--data', 'a path'))
    .option('--val-data <path>', 'examples to validate with (default: a share of --data)', nonEmpty('--val-data', 'a path'))
    .option('--val-fraction <x>', 'share of the examples kept for validation', realNumber('--val-fraction', { min: 0, below: 1 }), 0.1)
    .option('--text-column <name>', 'which column is the text (default: text, sentence, …)', nonEmpty('--text-column', 'a name'))
    .option('--text-pair-column <name>', 'which is the second text (default: sentence2, hypothesis, …)', nonEmpty('--text-pair-column', 'a name'))
    .option('--label-column <name>', 'which is the label (default: label, class, …)', nonEmpty('--label-column', 'a name'))
    .option('--max-length <n>', 'tokens of the longest sequence (default: as many as the model has positions)', wholeNumber('--max-length', { min: 8, max: 1 << 20 }))
    .option('--too-long <what>', 'cut longer texts at the end, or refuse them', oneOf('--too-long', ['cut', 'refuse']), 'cut')
    .option('--epochs <x>', 'passes over the examples (default: those of the task)', realNumber('--epochs', { above: 0 }))
    .option('--steps <n>', 'training steps, in place of --epochs', wholeNumber('--steps'))
    .option('--batch-size <n>', 'examples per step (default: that of the task)', wholeNumber('--batch-size'))
    .option('--learning-rate <x>', 'highest learning rate (default: that of the task)', realNumber('--learning-rate', { above: 0 }))
    .option('--weight-decay <x>', 'decay of weights with two or more axes (default: that of the task)', realNumber('--weight-decay', { min: 0 }))
    .option('--dropout <p>', "probability of dropping (default: the model's)", realNumber('--dropout', { min: 0, below: 1 }))
    .addOption(new Option('--lora [rank]', 'train adapters of that rank (8 if not said) and the head, not all weights').preset('8').argParser(wholeNumber('--lora', { min: 1, max: 4096 })))
    .option('--seed <n>', 'decides all randomness', wholeNumber('--seed', { min: 0, max: Number.MAX_SAFE_INTEGER }), 1)
    .option('--precision <name>', 'of products on webgpu: f32, or f16 with a loss scale', oneOf('--precision', PRECISIONS), 'f32');
  augmentationFlags(command);
  runs(runFlags(command, 'finetune'), async () => (await import('./finetune/finetuneFamily.ts')).finetuneFamily);
}

function runs<S extends RunSettings, F extends TrainFlags>(command: Command, load: () => Promise<Family<S, F>>): void {
  deviceFlag(command)
    .option('--tune', 'time the kernels of the webgpu device after the first step, and take the fastest (default: on hardware)')
    .option('--no-tune', 'take kernels by rules of thumb');
  finish<F>(command, async () => {
    const [{ trainModel }, family] = await Promise.all([import('./trainModel.ts'), load()]);
    return (flags: F, io: Io) => trainModel(family, flags, io);
  });
}
