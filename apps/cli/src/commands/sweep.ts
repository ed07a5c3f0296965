import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { atomicWriteFile } from '@evenkeel/checkpoint';
import { directoryStore } from '@evenkeel/training';
import { announceDevice, type DeviceName } from '../devices.ts';
import { UsageError } from '../errors.ts';
import { formatCount, wrap } from '../format.ts';
import type { Io } from '../output.ts';
import { openRunData, type RunData } from '../gpt/runData.ts';
import { defaultRunDirectory } from '../runDirectory.ts';
import { measureAll } from '../sweep/measureAll.ts';
import { rateName, sizeName } from '../sweep/names.ts';
import { openSweep, type OpenedSweep } from '../sweep/openSweep.ts';
import { readResults } from '../sweep/runResult.ts';
import { summarise } from '../sweep/summary.ts';
import { readSweepFile } from '../sweep/sweepFile.ts';
import { sweepPage } from '../sweep/sweepPage.ts';
import { checkSameSweep, type SweepFlags, type SweepPlan } from '../sweep/sweepPlan.ts';
import { SWEEP, writeSweep } from '../sweep/sweepRecord.ts';
import { sweepResult, type SweepResult } from '../sweep/sweepResult.ts';
import { sweepTable } from '../sweep/sweepTable.ts';

export type SweepOptions = SweepFlags & { readonly config?: string; readonly out?: string; readonly resume?: boolean; readonly device: DeviceName };

/** sweep — trains a GPT at every learning rate, with every technique, in every size, one after the other; goes on where it was stopped. */
export async function sweep(given: SweepOptions, io: Io): Promise<SweepResult> {
  const options = given.config === undefined ? given : withFile(given, await readSweepFile(given.config));
  const { out = defaultRunDirectory('sweep'), resume = false } = options;
  if (resume && options.out === undefined) throw new UsageError('--resume needs --out, the directory of the sweep');
  if (resume && !existsSync(join(out, SWEEP))) throw new UsageError(`--resume must find a sweep in --out, got ${out}, which has no ${SWEEP}`);
  const opened = await openSweep(out, options);
  const unlock = await directoryStore(out).lock?.();
  try {
    announceDevice(opened.device, options.device, io.line);
    return await measureSweep(opened, out, io);
  } finally {
    await unlock?.();
  }
}

/** A flag of the command line goes before one of the file. */
function withFile(options: SweepOptions, fromFile: Readonly<Record<string, unknown>>): SweepOptions {
  const { given } = options;
  const added = Object.fromEntries(Object.entries(fromFile).filter(([name]) => !given.has(name)));
  return { ...options, ...added, given: new Set([...given, ...Object.keys(added)]) };
}

async function measureSweep({ plan, device: { name: device }, vocabSize }: OpenedSweep, directory: string, io: Io): Promise<SweepResult> {
  const results = await readResults(directory);
  checkSameSweep(plan, results, directory);
  await writeSweep(directory, { ...plan, device, vocabSize });
  const data = await openRunData(plan.runs[0].settings, directory);
  try {
    const writePages = async (): Promise<SweepResult> => {
      const result = sweepResult(plan, results, { out: directory, device });
      await atomicWriteFile(join(directory, NUMBERS), `${JSON.stringify(result, null, 1)}\n`);
      await atomicWriteFile(join(directory, PAGE), sweepPage(summarise(plan, results), plan, device));
      return result;
    };
    describe(plan, await writePages(), data, io);
    await measureAll(plan, { directory, data, device, results, finished: writePages }, io);
    const result = await writePages();
    for (const line of ['', ...sweepTable(summarise(plan, results)), '', `page     ${join(directory, PAGE)}`, `numbers  ${join(directory, NUMBERS)}`]) io.line(line);
    return result;
  } finally {
    data.close();
  }
}

/** What a sweep leaves for people, and for programs. */
const PAGE = 'sweep.html';
const NUMBERS = 'results.json';

function describe(plan: SweepPlan, { out, steps, tokensPerStep, techniques, sizes, learningRates, planned, finished }: SweepResult, data: RunData, io: Io): void {
  const row = (label: string, text: string): void => wrap(label.padEnd(7), text).forEach((line) => io.line(line));
  row('data', data.name);
  row('', `${formatCount(data.train.length)} tokens to train, ${formatCount(data.val.length)} to validate, vocabulary ${formatCount(data.vocabSize)}`);
  row('sweep', `${out}: ${planned} run${planned === 1 ? '' : 's'} of ${formatCount(steps)} steps of ${formatCount(tokensPerStep)} tokens${finished === 0 ? '' : `, ${finished} of them finished`}`);
  for (const { name, says } of techniques) row('', says === '' ? name : `${name}: ${says}`);
  row('', sizes.map(sizeName).join('; '));
  row('', `learning rates ${learningRates.map(rateName).join(', ')}`);
}
