import { existsSync, mkdirSync, readdirSync, rmSync, statSync } from 'node:fs';
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

const RECORD = 'run.json';

/** defaultRunDirectory — `runs/gpt-20261123-152514`, with a number behind it if that exists. */
export function defaultRunDirectory(now = new Date()): string {
  const digits = (value: number, width = 2): string => String(value).padStart(width, '0');
  const date = `${digits(now.getFullYear(), 4)}${digits(now.getMonth() + 1)}${digits(now.getDate())}`;
  const name = join('runs', `gpt-${date}-${digits(now.getHours())}${digits(now.getMinutes())}${digits(now.getSeconds())}`);
  for (let copy = 1; ; copy++) {
    const candidate = copy === 1 ? name : `${name}-${copy}`;
    if (!existsSync(candidate)) return candidate;
  }
}

/** checkFresh — throws UsageError if a new run cannot begin in `directory`: nothing is ever overwritten. */
export function checkFresh(directory: string): void {
  const stat = statSync(directory, { throwIfNoEntry: false });
  if (stat === undefined) return;
  if (!stat.isDirectory()) throw new UsageError(`--out must be a directory, got the file ${directory}`);
  if (readdirSync(directory).length === 0) return;
  const help = existsSync(join(directory, RECORD)) ? '--resume goes on with the run in it' : 'choose another';
  throw new UsageError(`--out must be a new or empty directory, got ${directory}, which holds files; ${help}`);
}

/** inNewDirectory — makes `directory`, fills it, and leaves nothing behind if that fails. */
export async function inNewDirectory<T>(directory: string, fill: () => Promise<T>): Promise<T> {
  const existed = existsSync(directory);
  const firstMade = mkdirSync(join(directory, 'state'), { recursive: true });
  try {
    return await fill();
  } catch (error) {
    const made = existed ? readdirSync(directory).map((name) => join(directory, name)) : [firstMade ?? directory];
    for (const path of made) rmSync(path, { recursive: true, force: true });
    throw error;
  }
}

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
