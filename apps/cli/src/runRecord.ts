import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { atomicWriteFile, readJsonFile } from '@evenkeel/checkpoint';
import { UsageError } from './errors.ts';
import type { RunSettings } from './runSettings.ts';

/** RunRecord — `run.json`: what the run is, so that `--resume` needs no other flag. */
export type RunRecord = {
  readonly format: 1;
  readonly command: 'train gpt';
  /** The device's name, not `auto`: numbers of another device differ in the last bits. */
  readonly device: string;
  readonly vocabSize: number;
  readonly settings: RunSettings;
};

/** RECORD — the file that makes a directory a run. */
export const RECORD = 'run.json';

/** writeRecord — saves `run.json`. */
export async function writeRecord(directory: string, record: RunRecord): Promise<void> {
  await atomicWriteFile(join(directory, RECORD), `${JSON.stringify(record, null, 2)}\n`);
}

/** readRecord — the record of the run to resume. */
export async function readRecord(directory: string): Promise<RunRecord> {
  const path = join(directory, RECORD);
  if (!existsSync(path)) throw new UsageError(`--resume must find a run in --out, got ${directory}, which has no ${RECORD}`);
  const record = await readJsonFile(path) as Partial<RunRecord> | null;
  if (record?.format !== 1 || typeof record.settings !== 'object' || typeof record.vocabSize !== 'number') {
    throw new UsageError(`${path} must be the record of a run in format 1, got ${JSON.stringify(record?.format ?? 'something else')}`);
  }
  return record as RunRecord;
}
