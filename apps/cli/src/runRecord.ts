import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { atomicWriteFile, readJsonFile } from '@evenkeel/checkpoint';
import { UsageError } from './errors.ts';
import { isBoolean, isCount, isDevice, isNatural, isNumber, isObject, isOneOf, isShare, isText, orNull, wrongField, type Fields, type Test } from './fields.ts';
import { LATER_SETTINGS, type RunSettings } from './runSettings.ts';
import { DECAY_MODES, GAMMAS, NORMS, OPTIMIZERS, PLACEMENTS, SCHEDULES } from './techniqueNames.ts';

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

/** readRecord — the record of the run to resume, every field checked: people may edit the file. */
export async function readRecord(directory: string): Promise<RunRecord> {
  const path = join(directory, RECORD);
  if (!existsSync(path)) throw new UsageError(`--resume must find a run in --out, got ${directory}, which has no ${RECORD}`);
  const record: unknown = await readJsonFile(path);
  if (!isObject(record) || record['format'] !== 1) {
    throw new UsageError(`${path} must be the record of a run in format 1, got ${JSON.stringify((isObject(record) ? record['format'] : undefined) ?? 'something else')}`);
  }
  checkFields(path, '', record, { device: isDevice, vocabSize: isCount, settings: isObject });
  return { ...record, settings: checkedSettings(path, 'settings.', record['settings'] as Fields) } as unknown as RunRecord;
}

/** checkedSettings — settings as a file has them, every field checked, with what older runs lack. */
export function checkedSettings(path: string, prefix: string, found: Fields): RunSettings {
  const missing = Object.entries(LATER_SETTINGS).filter(([name]) => !(name in found));
  const settings: Fields = { ...found, ...Object.fromEntries(missing) };
  checkFields(path, prefix, settings, SETTINGS);
  return settings as unknown as RunSettings;
}

const SETTINGS: Readonly<Record<keyof RunSettings, Test>> = {
  data: orNull(isText), tokenizer: isText, vocabSize: orNull(isCount),
  depth: isCount, dim: isCount, numHeads: isCount, context: isCount, batchSize: isCount, dropout: isShare,
  steps: isCount, learningRate: isNumber, warmup: isNatural, schedule: isOneOf(SCHEDULES),
  weightDecay: isNumber, clip: isNumber, seed: isNatural, precision: isOneOf(['f32', 'f16']), valFraction: isShare, evalEvery: isCount, checkpointEvery: isCount, monitor: isNatural,
  placement: isOneOf(PLACEMENTS), norm: isOneOf(NORMS), qkNorm: isBoolean, sigmaReparam: isOneOf(GAMMAS), untiedHead: isBoolean, zLoss: isNumber, optimizer: isOneOf(OPTIMIZERS), weightDecayMode: isOneOf(DECAY_MODES), mup: isNatural,
};

function checkFields(path: string, prefix: string, object: Fields, tests: Readonly<Record<string, Test>>): void {
  const wrong = wrongField(object, tests, prefix);
  if (wrong !== undefined) throw new UsageError(`${path} must be the record of a run, ${wrong}`);
}
