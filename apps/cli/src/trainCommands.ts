import { Option, type Command } from 'commander';
import { finish } from './finish.ts';
import { nonEmpty, realNumber, wholeNumber } from './flags.ts';
import type { Io } from './output.ts';
import { augmentationFlags, commonTechniqueFlags, contextFlag, dataFlags, deviceFlag, learningRateFlag, runFlags, sizeFlags, techniqueFlags } from './trainFlags.ts';
import type { Family } from './task.ts';
import type { RunSettings } from './runSettings.ts';
import type { TrainFlags } from './trainModel.ts';

/** trainCommands — `train gpt`, `train vit`. */
export function trainCommands(train: Command): void {
  gptFlags(train.command('gpt'));
  vitFlags(train.command('vit'));
}

function gptFlags(command: Command): void {
  command.description('train a GPT on text');
  contextFlag(sizeFlags(dataFlags(command), { steps: '2000; without --data about a minute', batchSize: 12, of: 'sequences' }), 64);
  techniqueFlags(learningRateFlag(command));
  runs(runFlags(command, 'gpt'), async () => (await import('./gpt/gptFamily.ts')).gptFamily);
}

function vitFlags(command: Command): void {
  command.description('train a vision transformer on images')
    .option('--data <path>', "a folder of images per class, CIFAR-10's .bin, or an IDX file (default: MNIST's test set)", nonEmpty('--data', 'a path'))
    .option('--val-data <path>', 'images to validate with (default: a share of --data)', nonEmpty('--val-data', 'a path'))
    .option('--val-fraction <x>', 'share of the images kept for validation', realNumber('--val-fraction', { min: 0, below: 1 }), 0.1)
    .option('--image-size <n>', 'scales images to squares of so many pixels (default: as they are)', wholeNumber('--image-size', { min: 1, max: 4096 }))
    .option('--patch-size <n>', 'pixels along a patch (default: 4, or 16 for images above 64)', wholeNumber('--patch-size', { min: 1, max: 4096 }));
  sizeFlags(command, { steps: '1000; without --data 300', batchSize: 64, of: 'images' })
    .option('--epochs <x>', 'the number of steps as passes over the images', realNumber('--epochs', { above: 0 }));
  augmentationFlags(command)
    .option('--drop-path <p>', 'probability of leaving out a residual branch of the last block (default: 0; 0.1 with deit)', realNumber('--drop-path', { min: 0, below: 1 }))
    .addOption(new Option('--layer-scale [x]', 'factors of residual branches, which start at 1e-4 if not said (default: none)').preset('1e-4').argParser(realNumber('--layer-scale', { min: 0 })))
    .addOption(new Option('--ema [decay]', 'validates and saves the average of the parameters, with decay 0.999 if not said (default: none)').preset('0.999').argParser(realNumber('--ema', { min: 0, below: 1 })));
  commonTechniqueFlags(learningRateFlag(command));
  runs(runFlags(command, 'vit'), async () => (await import('./vit/vitFamily.ts')).vitFamily);
}

function runs<S extends RunSettings, F extends TrainFlags>(command: Command, load: () => Promise<Family<S, F>>): void {
  finish<F>(deviceFlag(command), async () => {
    const [{ trainModel }, family] = await Promise.all([import('./trainModel.ts'), load()]);
    return (flags: F, io: Io) => trainModel(family, flags, io);
  });
}
