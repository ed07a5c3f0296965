import { resolve } from 'node:path';
import type { Precision } from './devices.ts';
import { UsageError } from './errors.ts';
import { flagOf } from './flags.ts';
import { DEFAULTS, INDEPENDENT_DECAY, type OptimizerSettings } from './optimizer.ts';
import { warmupLimit, type ScheduleName } from './schedule.ts';
import { PLAIN, type TechniqueSettings } from './techniques.ts';

/** RunSettings — what decides the numbers of a training run; kept in its `run.json`. */
export type RunSettings = OptimizerSettings & TechniqueSettings & {
  /** Absolute path of the text, or null for the default corpus. */
  readonly data: string | null;
  /** `char`, `bpe`, or the absolute path of a tokenizer.json. */
  readonly tokenizer: string;
  /** Of a bpe tokenizer that is trained for this run; null with any other. */
  readonly vocabSize: number | null;
  readonly depth: number;
  readonly dim: number;
  readonly numHeads: number;
  readonly context: number;
  readonly batchSize: number;
  readonly dropout: number;
  readonly seed: number;
  readonly precision: Precision;
  readonly valFraction: number;
  readonly evalEvery: number;
  readonly checkpointEvery: number;
  /** Steps from one reading of the monitor to the next; 0 for none. */
  readonly monitor: number;
};

/** LATER_SETTINGS — settings that were not always there, and what runs without them had. */
export const LATER_SETTINGS = { precision: 'f32', monitor: 0, ...PLAIN } as const satisfies Partial<RunSettings>;

/** TrainGptFlags — the flags of `train gpt` that become settings, as parsed; `given` holds the names of those the user wrote. */
export type TrainGptFlags = Omit<RunSettings, 'data' | 'vocabSize' | WithoutFlag> & Partial<Pick<RunSettings, WithoutFlag>> & {
  readonly data?: string;
  readonly vocabSize?: number;
  readonly given: ReadonlySet<string>;
};

/** Settings whose default depends on others, or is that of GPT-2. */
type WithoutFlag = 'steps' | 'learningRate' | 'weightDecay' | 'evalEvery' | 'checkpointEvery' | 'monitor' | keyof TechniqueSettings;

const STEPS = 2000;
const VOCAB_SIZE = 1024;
/** Of the default corpus: about a minute on two cores. */
const STEPS_WITHOUT_DATA = 400;

/**
 * newSettings — the settings of a new run: flags, and the defaults that depend on other flags.
 *
 * The default warm-up is shortened to a tenth of the steps where it does not fit; one that was asked for must fit.
 * @throws UsageError  if flags do not fit together.
 */
export function newSettings(flags: TrainGptFlags): RunSettings {
  if (flags.vocabSize !== undefined && flags.tokenizer !== 'bpe') throw new UsageError(`--vocab-size must be left out with --tokenizer ${flags.tokenizer}, got ${flags.vocabSize}`);
  const steps = flags.steps ?? (flags.data === undefined ? STEPS_WITHOUT_DATA : STEPS);
  const fits = flags.warmup <= warmupLimit(flags.schedule, steps);
  const evalEvery = flags.evalEvery ?? Math.min(250, Math.ceil(steps / 10));
  const techniques = techniquesIn(flags);
  const { optimizer, weightDecayMode } = techniques;
  const settings: RunSettings = {
    ...techniques,
    data: flags.data === undefined ? null : resolve(flags.data),
    tokenizer: ['char', 'bpe'].includes(flags.tokenizer) ? flags.tokenizer : resolve(flags.tokenizer),
    vocabSize: flags.tokenizer === 'bpe' ? flags.vocabSize ?? VOCAB_SIZE : null, depth: flags.depth, dim: flags.dim, numHeads: flags.numHeads, context: flags.context,
    batchSize: flags.batchSize, steps, learningRate: flags.learningRate ?? DEFAULTS[optimizer].learningRate,
    warmup: fits || flags.given.has('warmup') ? flags.warmup : Math.floor(steps / 10),
    schedule: flags.schedule, weightDecay: flags.weightDecay ?? (weightDecayMode === 'independent' ? INDEPENDENT_DECAY : DEFAULTS[optimizer].weightDecay), clip: flags.clip, dropout: flags.dropout, seed: flags.seed, precision: flags.precision,
    valFraction: flags.valFraction, evalEvery, checkpointEvery: flags.checkpointEvery ?? evalEvery, monitor: flags.monitor ?? 0,
  };
  checkSettings(settings);
  return settings;
}

function techniquesIn(flags: Partial<TechniqueSettings>): TechniqueSettings {
  const given = Object.entries(flags).filter(([name, value]) => name in PLAIN && value !== undefined);
  return { ...PLAIN, ...Object.fromEntries(given) };
}

/** checkSettings — throws UsageError unless settings fit together. */
export function checkSettings({ dim, numHeads, schedule, warmup, steps, optimizer, weightDecayMode }: RunSettings): void {
  if (dim % numHeads !== 0) throw new UsageError(`--dim must be divisible by --num-heads, got ${dim} and ${numHeads}`);
  if (weightDecayMode === 'independent' && optimizer !== 'adamw') throw new UsageError(`--weight-decay-mode independent must be used with --optimizer adamw, got ${optimizer}`);
  const limit = warmupLimit(schedule, steps);
  if (warmup > limit) throw new UsageError(`--warmup must be ≤ ${limit} with --schedule ${schedule} and --steps ${steps}, got ${warmup}`);
}

/** Flags that change what is written down and when, but no step. */
const FREE: ReadonlySet<string> = new Set(['evalEvery', 'checkpointEvery', 'monitor']);

/**
 * resumedSettings — the settings of the run being resumed; flags that were not given are the run's own.
 *
 * `--eval-every`, `--checkpoint-every` and `--monitor` may change, and so may `--steps` with the constant schedule, the only one that does
 * not depend on it. The run keeps its text, encoded: `--data` is not read again.
 * @throws UsageError  if another flag was given with another value; the message names all of them.
 */
export function resumedSettings(saved: RunSettings, flags: TrainGptFlags): RunSettings {
  const wanted: RunSettings = { ...saved, ...givenSettings(saved, flags) };
  const mayChange = (name: keyof RunSettings): boolean =>
    FREE.has(name) || (name === 'steps' && saved.schedule === 'constant');
  const differing = (Object.keys(saved) as (keyof RunSettings)[]).filter((name) => wanted[name] !== saved[name] && !mayChange(name));
  if (differing.length > 0) {
    const list = differing.map((name) => `${flagOf(name)} ${wanted[name]} (the run has ${saved[name]})`).join(', ');
    const help = differing.includes('steps') ? ` A ${saved.schedule as ScheduleName} schedule depends on the number of steps.` : '';
    throw new UsageError(`--resume must keep what decides the run, got ${list}.${help}`);
  }
  checkSettings(wanted);
  return wanted;
}

function givenSettings(saved: RunSettings, flags: TrainGptFlags): Partial<RunSettings> {
  const names = Object.keys(saved).filter((name) => flags.given.has(name)) as (keyof RunSettings)[];
  const given = Object.fromEntries(names.map((name) => [name, flags[name]])) as { -readonly [K in keyof RunSettings]?: RunSettings[K] };
  if (typeof given.data === 'string') given.data = resolve(given.data);
  if (given.tokenizer !== undefined && !['char', 'bpe'].includes(given.tokenizer)) given.tokenizer = resolve(given.tokenizer);
  return given;
}
