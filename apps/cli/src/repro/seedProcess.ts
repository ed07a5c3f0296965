import { fork } from 'node:child_process';
import type { MeasuredSeed } from '@evenkeel/reproductions';
import type { DeviceName } from '../devices.ts';
import type { LabOptions } from './lab.ts';

/** SeedOrder — one seed of one paper, to be measured. */
export type SeedOrder = LabOptions & { readonly slug: string; readonly seed: number; readonly device: DeviceName };

/** SeedMessage — what a process that measures a seed says: what it does, then what came out. */
export type SeedMessage = { readonly says: string } | { readonly measured: MeasuredSeed } | { readonly failed: SentError };

/** SentError — an error, by what tells errors apart: a clone of one would lose its name. */
export type SentError = Pick<NodeJS.ErrnoException, 'name' | 'message' | 'code' | 'path'>;

/** SEED_COMMAND — the command, not shown in the help, that takes one order from the process that started it. */
export const SEED_COMMAND = 'repro-seed';

/** measureInProcess — measures one seed in a process of its own, with one thread; it ends with the one that started it. */
export function measureInProcess(order: SeedOrder, say: (what: string) => void): Promise<MeasuredSeed> {
  return new Promise((resolve, reject) => {
    const child = fork(process.argv[1] as string, [SEED_COMMAND], { serialization: 'advanced', stdio: ['ignore', 'ignore', 'inherit', 'ipc'] }); // structured clones, as JSON has no Infinity
    child.on('message', (message: SeedMessage) => {
      if ('says' in message) say(message.says);
      else if ('measured' in message) resolve(message.measured);
      else reject(Object.assign(new Error(), message.failed));
    });
    child.on('error', reject);
    child.on('exit', (code, signal) => reject(new Error(`seed ${order.seed} of ${order.slug}: its process ended with ${signal ?? `exit code ${code}`}`)));
    child.send(order);
  });
}
