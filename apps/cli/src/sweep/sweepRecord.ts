import { join } from 'node:path';
import { atomicWriteFile, readJsonFile } from '@evenkeel/checkpoint';
import { UsageError } from '../errors.ts';
import { isCount, isDevice, isListOf, isObject, isText, wrongField, type Fields } from '../fields.ts';
import { GPT_TESTS, LATER_GPT_SETTINGS, type GptSettings } from '../gpt/gptSettings.ts';
import { checkedSettings } from '../runRecord.ts';
import { checkRun, type PlannedRun, type SweepPlan } from './sweepPlan.ts';

/** SWEEP — the file that makes a directory a sweep: what it measures, so that `--resume` needs no other flag. */
export const SWEEP = 'sweep.json';

/** SweepRecord — the plan of a sweep, and what it was begun with. */
export type SweepRecord = SweepPlan & { readonly format: 1; readonly command: 'sweep'; readonly device: string; readonly vocabSize: number };

/** writeSweep — saves `sweep.json`. */
export async function writeSweep(directory: string, record: Omit<SweepRecord, 'format' | 'command'>): Promise<void> {
  await atomicWriteFile(join(directory, SWEEP), `${JSON.stringify({ format: 1, command: 'sweep', ...record } satisfies SweepRecord, null, 1)}\n`);
}

/** readSweep — the record of a sweep that was begun, every field checked: people may edit the file. */
export async function readSweep(directory: string): Promise<SweepRecord> {
  const path = join(directory, SWEEP);
  const record: unknown = await readJsonFile(path);
  const fail = (problem: string): never => { throw new UsageError(`${path} must be the record of a sweep in format 1, ${problem}`); };
  if (!isObject(record) || record['format'] !== 1) return fail(`got ${JSON.stringify((isObject(record) ? record['format'] : undefined) ?? 'something else')}`);
  const wrong = wrongField(record, { device: isDevice, vocabSize: isCount, techniques: isListOf(isObject), runs: (value) => isListOf(isObject)(value) && (value as unknown[]).length > 0 });
  if (wrong !== undefined) return fail(wrong);
  const runs = (record['runs'] as Fields[]).map((run, i): PlannedRun => {
    const wrongOfRun = wrongField(run, { id: isText, technique: isText, settings: isObject }, `runs[${i}].`);
    if (wrongOfRun !== undefined) return fail(wrongOfRun);
    return { ...run, settings: checkedSettings<GptSettings>(path, `runs[${i}].settings.`, run['settings'] as Fields, { tests: GPT_TESTS, later: LATER_GPT_SETTINGS }) } as PlannedRun;
  });
  const techniques = (record['techniques'] as Fields[]).map((each, i) => {
    const wrongOfTechnique = wrongField(each, { name: isText, says: (value) => typeof value === 'string' }, `techniques[${i}].`);
    return wrongOfTechnique === undefined ? each as SweepPlan['techniques'][number] : fail(wrongOfTechnique);
  });
  for (const [i, run] of runs.entries()) {
    if (!techniques.some(({ name }) => name === run.technique)) fail(`got ${JSON.stringify(run.technique)} for runs[${i}].technique, which is none of its techniques`);
    try {
      checkRun(run);
    } catch (error) {
      fail(`got in runs[${i}]: ${(error as Error).message}`);
    }
  }
  return { ...record, techniques, runs } as unknown as SweepRecord;
}
