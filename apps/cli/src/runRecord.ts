import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { atomicWriteFile, readJsonFile } from '@evenkeel/checkpoint';
import { UsageError } from './errors.ts';
import { isDevice, isObject, wrongField, type Fields, type Test } from './fields.ts';
import type { RunSettings } from './runSettings.ts';
import type { Facts, Family } from './task.ts';

/** RunRecord — `run.json`: what the run is, so that `--resume` needs no other flag. */
export type RunRecord<S extends RunSettings = RunSettings> = {
  readonly command: string;
  /** The device's name, not `auto`: numbers of another device differ in the last bits. */
  readonly device: string;
  readonly facts: Facts;
  readonly settings: S;
};

/** RECORD — the file that makes a directory a run. */
export const RECORD = 'run.json';

/** writeRecord — saves `run.json`. */
export async function writeRecord(directory: string, { command, device, facts, settings }: RunRecord): Promise<void> {
  await atomicWriteFile(join(directory, RECORD), `${JSON.stringify({ format: 1, command, device, ...facts, settings }, null, 2)}\n`);
}

type Kind<S extends RunSettings> = Pick<Family<S, never>, 'command' | 'tests' | 'later'>;

/** readRecord — the record of the run to resume, every field checked: people may edit the file. */
export async function readRecord<S extends RunSettings>(directory: string, { command, tests, later = {} }: Kind<S>): Promise<RunRecord<S>> {
  const path = join(directory, RECORD);
  if (!existsSync(path)) throw new UsageError(`--resume must find a run in --out, got ${directory}, which has no ${RECORD}`);
  const record: unknown = await readJsonFile(path);
  if (!isObject(record) || record['format'] !== 1) {
    throw new UsageError(`${path} must be the record of a run in format 1, got ${JSON.stringify((isObject(record) ? record['format'] : undefined) ?? 'something else')}`);
  }
  if (record['command'] !== command) throw new UsageError(`--resume must find a run of ${command} in --out, got ${directory}, which holds one of ${String(record['command'])}`);
  checkFields(path, '', record, { device: isDevice, ...tests.facts, settings: isObject });
  const facts = Object.fromEntries(Object.keys(tests.facts).map((name) => [name, record[name]]));
  return { command, device: record['device'] as string, facts, settings: checkedSettings<S>(path, 'settings.', record['settings'] as Fields, { tests: tests.settings, later }) };
}

/** checkedSettings — settings as a file has them, every field checked, with what older runs lack. */
export function checkedSettings<S>(path: string, prefix: string, found: Fields, { tests, later }: { tests: Readonly<Record<keyof S, Test>>; later: Partial<S> }): S {
  const missing = Object.entries(later).filter(([name]) => !(name in found));
  const settings: Fields = { ...found, ...Object.fromEntries(missing) };
  checkFields(path, prefix, settings, tests);
  return settings as unknown as S;
}

function checkFields(path: string, prefix: string, object: Fields, tests: Readonly<Record<string, Test>>): void {
  const wrong = wrongField(object, tests, prefix);
  if (wrong !== undefined) throw new UsageError(`${path} must be the record of a run, ${wrong}`);
}
