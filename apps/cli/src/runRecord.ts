import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { atomicWriteFile, readJsonFile } from '@evenkeel/checkpoint';
import { UsageError } from './errors.ts';
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
  const settings: Fields = { ...LATER_SETTINGS, ...record['settings'] as Fields };
  checkFields(path, 'settings.', settings, SETTINGS);
  return { ...record, settings } as unknown as RunRecord;
}

type Fields = Readonly<Record<string, unknown>>;
type Test = (value: unknown) => boolean;

const isObject = (value: unknown): value is Fields => typeof value === 'object' && value !== null && !Array.isArray(value);
const isText: Test = (value) => typeof value === 'string' && value !== '';
const isCount: Test = (value) => Number.isSafeInteger(value) && (value as number) >= 1;
const isNatural: Test = (value) => Number.isSafeInteger(value) && (value as number) >= 0;
const isNumber: Test = (value) => Number.isFinite(value) && (value as number) >= 0;
const isShare: Test = (value) => isNumber(value) && (value as number) < 1;
const isBoolean: Test = (value) => typeof value === 'boolean';
const isOneOf = (words: readonly string[]): Test => (value) => words.includes(value as string);
const isDevice = isOneOf(['wasm', 'webgpu', 'cpu']);
const orNull = (test: Test): Test => (value) => value === null || test(value);

const SETTINGS: Readonly<Record<keyof RunSettings, Test>> = {
  data: orNull(isText), tokenizer: isText, vocabSize: orNull(isCount),
  depth: isCount, dim: isCount, numHeads: isCount, context: isCount, batchSize: isCount, dropout: isShare,
  steps: isCount, learningRate: isNumber, warmup: isNatural, schedule: isOneOf(SCHEDULES),
  weightDecay: isNumber, clip: isNumber, seed: isNatural, precision: isOneOf(['f32', 'f16']), valFraction: isShare, evalEvery: isCount, checkpointEvery: isCount, monitor: isNatural,
  placement: isOneOf(PLACEMENTS), norm: isOneOf(NORMS), qkNorm: isBoolean, sigmaReparam: isOneOf(GAMMAS), untiedHead: isBoolean, zLoss: isNumber, optimizer: isOneOf(OPTIMIZERS), weightDecayMode: isOneOf(DECAY_MODES),
};

function checkFields(path: string, prefix: string, object: Fields, tests: Readonly<Record<string, Test>>): void {
  for (const [name, test] of Object.entries(tests)) {
    if (!test(object[name])) throw new UsageError(`${path} must be the record of a run, got ${JSON.stringify(object[name]) ?? 'nothing'} for ${prefix}${name}`);
  }
}
