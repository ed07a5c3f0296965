import { Option, type Command } from 'commander';
import { nonEmpty, oneOf, realNumber, wholeNumber } from './flags.ts';
import { AUGMENTS, DECAY_MODES, GAMMAS, NORMS, OPTIMIZERS, PLACEMENTS, SCHEDULES } from './techniqueNames.ts';

const DEVICES = ['auto', 'wasm', 'webgpu', 'cpu'] as const;
export const PRECISIONS = ['f32', 'f16'] as const;
const SEED = { min: 0, max: Number.MAX_SAFE_INTEGER };
const ANY_SIZE = { min: 1, max: 2 ** 31 - 1 };
const POSITIVE = { above: 0 };

/** dataFlags — where the text comes from, and how it becomes tokens. */
export function dataFlags(command: Command): Command {
  return command
    .option('--data <path>', "a text file, or a directory of them (default: TypeScript's library declarations)", nonEmpty('--data', 'a path'))
    .option('--tokenizer <kind>', 'char, bpe, or the path of a tokenizer.json', nonEmpty('--tokenizer', 'char, bpe or a path'), 'char')
    .option('--vocab-size <n>', 'tokens of a bpe tokenizer that is trained (default: 1024)', wholeNumber('--vocab-size', { min: 257, max: 1 << 20 }))
    .option('--val-fraction <x>', 'share of the data kept for validation', realNumber('--val-fraction', { min: 0, below: 1 }), 0.1);
}

/** contextFlag — how long a text a model sees. */
export function contextFlag(command: Command, otherwise: number): Command {
  return command.option('--context <n>', 'tokens the model sees at once', wholeNumber('--context', ANY_SIZE), otherwise);
}

/** sizeFlags — the sizes of the model, of a step and of the run. */
export function sizeFlags(command: Command, { steps, batchSize, of }: { steps: string; batchSize: number; of: string }): Command {
  return command
    .option('--depth <n>', 'transformer blocks', wholeNumber('--depth', ANY_SIZE), 4)
    .option('--dim <n>', 'channels', wholeNumber('--dim', ANY_SIZE), 128)
    .option('--num-heads <n>', 'attention heads; divides --dim', wholeNumber('--num-heads', ANY_SIZE), 4)
    .option('--batch-size <n>', `${of} per step`, wholeNumber('--batch-size', ANY_SIZE), batchSize)
    .option('--steps <n>', `training steps (default: ${steps})`, wholeNumber('--steps', ANY_SIZE))
    .option('--seed <n>', 'decides all randomness', wholeNumber('--seed', SEED), 1)
    .option('--precision <name>', 'of products on webgpu: f32, or f16 with a loss scale', oneOf('--precision', PRECISIONS), 'f32');
}

/** techniqueFlags — how a GPT computes and how it learns: what a sweep may vary. */
export function techniqueFlags(command: Command): Command {
  return commonTechniqueFlags(command)
    .option('--z-loss <x>', 'weight of the z-loss, which keeps the log-partition of the output near 0; 1e-4 is usual (default: 0)', realNumber('--z-loss', { min: 0 }))
    .option('--untied-head', 'a head of its own, not the token embedding');
}

/** commonTechniqueFlags — how any model computes and how it learns. */
export function commonTechniqueFlags(command: Command, own = 'pre'): Command {
  return command
    .option('--placement <name>', `where the norms stand: ${PLACEMENTS.join(', ')} (default: ${own})`, oneOf('--placement', PLACEMENTS))
    .option('--norm <name>', 'layer or rms (default: layer)', oneOf('--norm', NORMS))
    .option('--qk-norm', 'norms of queries and keys, per head')
    .addOption(new Option('--sigma-reparam [gamma]', 'linear maps whose spectral norm is learned: from one (if nothing is said), or from what it is (spectral) (default: none)')
      .preset('one').argParser(oneOf('--sigma-reparam', GAMMAS)))
    .option('--optimizer <name>', `${OPTIMIZERS.join(', ')} (default: adamw)`, oneOf('--optimizer', OPTIMIZERS))
    .option('--warmup <n>', 'steps of linear warm-up', wholeNumber('--warmup', { min: 0 }), 100)
    .option('--schedule <name>', 'cosine, wsd or constant, after warm-up', oneOf('--schedule', SCHEDULES), 'cosine')
    .option('--weight-decay <x>', 'decay of weights with two or more axes (default: 0.1 for adamw)', realNumber('--weight-decay', { min: 0 }))
    .option('--weight-decay-mode <mode>', 'coupled to the learning rate, or independent (default: coupled)', oneOf('--weight-decay-mode', DECAY_MODES))
    .option('--mup <base-width>', 'muP: a learning rate found at that width holds for others; 0 for off (default: 0)', wholeNumber('--mup', { min: 0, max: ANY_SIZE.max }))
    .option('--clip <x>', 'largest norm of the gradient; 0 for no limit', realNumber('--clip', { min: 0 }), 1)
    .option('--dropout <p>', 'probability of dropping', realNumber('--dropout', { min: 0, below: 1 }), 0);
}

/** learningRateFlag — the one thing about learning that a sweep has a list of. */
export function learningRateFlag(command: Command): Command {
  return command.option('--learning-rate <x>', "highest learning rate (default: 0.001 for adamw)", realNumber('--learning-rate', POSITIVE));
}

/** checkpointFlag — how often the state of a run is kept. */
export function checkpointFlag(command: Command, otherwise: string): Command {
  return command.option('--checkpoint-every <n>', `steps between checkpoints (default: ${otherwise})`, wholeNumber('--checkpoint-every'));
}

/** deviceFlag — where to compute. */
export function deviceFlag(command: Command): Command {
  return command.option('--device <name>', `where to compute: ${DEVICES.join(', ')}`, oneOf('--device', DEVICES), 'auto');
}

/** monitorFlag — `--monitor`, alone or with a number of steps. */
export function monitorFlag(command: Command, otherwise: string): Command {
  return command.addOption(new Option('--monitor [n]', `watch entropies, logits and norms every n steps, 10 if not said; 0 for never (default: ${otherwise})`)
    .preset('10').argParser(wholeNumber('--monitor', { min: 0 })));
}

/** runFlags — how often a run is evaluated and kept, where it goes, and whether it goes on. */
export function runFlags(command: Command, kind: string): Command {
  command.option('--eval-every <n>', 'steps between evaluations (default: a tenth of the steps, at most 250)', wholeNumber('--eval-every'));
  return monitorFlag(checkpointFlag(command, 'as --eval-every'), 'never')
    .option('--out <dir>', `run directory (default: runs/${kind}-<date>-<time>)`, nonEmpty('--out', 'a path'))
    .option('--resume', 'go on with the run in --out');
}

/** augmentationFlags — what happens to the images of training batches. */
export function augmentationFlags(command: Command): Command {
  return command
    .option('--augment <name>', `${AUGMENTS.join(', ')}: nothing; moved; also flipped; DeiT's recipe (default: basic, none for grey images)`, oneOf('--augment', AUGMENTS))
    .option('--mixup <alpha>', 'mixes pairs of images; 0.8 is usual (default: 0; 0.8 with deit)', realNumber('--mixup', { min: 0 }))
    .option('--cutmix <alpha>', 'exchanges rectangles of images; 1 is usual (default: 0; 1 with deit)', realNumber('--cutmix', { min: 0 }))
    .option('--label-smoothing <x>', 'share of a target spread over all classes (default: 0; 0.1 with deit)', realNumber('--label-smoothing', { min: 0, below: 1 }))
    .option('--repeated-augmentation <n>', 'how often each image stands in its batch (default: 1; 3 with deit)', wholeNumber('--repeated-augmentation', { min: 1 }));
}
