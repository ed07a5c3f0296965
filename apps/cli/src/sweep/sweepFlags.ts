import type { Command } from 'commander';
import { differingNumbers, nonEmpty, realNumbers } from '../flags.ts';
import { checkpointFlag, contextFlag, dataFlags, deviceFlag, monitorFlag, sizeFlags, techniqueFlags } from '../trainFlags.ts';
import { parseTechnique, type Technique } from './technique.ts';

/** LEARNING_RATES — of a sweep that does not say any: the paper's (arXiv:2309.14322, §2.2). */
export const LEARNING_RATES = [3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1] as const;

export const STEPS = 200;

const ANY_SIZE = { min: 1, max: 2 ** 31 - 1 };

/** sweepFlags — the flags of a sweep; a configuration file has the same by name. */
export function sweepFlags(command: Command): Command {
  command
    .option('--learning-rates <list>', `highest learning rates, with commas between (default: ${LEARNING_RATES.join(',')})`, realNumbers('--learning-rates', { above: 0 }))
    .option('--vary <technique>', '"name: flags", the flags of a technique to compare; once for each, and --learning-rates may be among them', added)
    .option('--dims <list>', 'widths, with commas between (default: --dim)', differingNumbers('--dims', ANY_SIZE))
    .option('--depths <list>', 'depths, with commas between (default: --depth)', differingNumbers('--depths', ANY_SIZE))
    .option('--config <file>', 'JSON with any of these flags by name; the command line wins over it', nonEmpty('--config', 'a path'));
  techniqueFlags(contextFlag(sizeFlags(dataFlags(command), { steps: String(STEPS), batchSize: 12, of: 'sequences' }), 64));
  checkpointFlag(command, 'a fifth of the steps');
  return monitorFlag(deviceFlag(command), 'about 50 times in a run')
    .option('--out <dir>', 'directory of the sweep (default: runs/sweep-<date>-<time>)', nonEmpty('--out', 'a path'))
    .option('--resume', 'go on with the sweep in --out, as the same command does');
}

const added = (text: string, earlier: readonly Technique[] = []): readonly Technique[] => [...earlier, parseTechnique(text)];
