import { resolve } from 'node:path';
import type { Precision } from './devices.ts';
import { UsageError } from './errors.ts';
import { isCount, isNatural, isOneOf, type Test } from './fields.ts';
import { flagOf } from './flags.ts';

/** RunSettings — what every run has, whatever it trains: plain data that decides its numbers, kept in its `run.json`. */
export type RunSettings = {
  readonly steps: number;
  readonly batchSize: number;
  readonly seed: number;
  readonly precision: Precision;
  readonly evalEvery: number;
  readonly checkpointEvery: number;
  /** Steps from one reading of the monitor to the next; 0 for none. */
  readonly monitor: number;
};

/** RUN_TESTS — what each of them must be, where a file says it. */
export const RUN_TESTS = {
  steps: isCount, batchSize: isCount, seed: isNatural, precision: isOneOf(['f32', 'f16']), evalEvery: isCount, checkpointEvery: isCount, monitor: isNatural,
} as const satisfies Readonly<Record<keyof RunSettings, Test>>;

/** Flags — flags that become settings, as parsed; `given` holds the names of those the user wrote. */
export type Flags = { readonly given: ReadonlySet<string> };

/** everyFew — how often to evaluate a run that does not say: a tenth of its steps, and at most every 250. */
export const everyFew = (steps: number): number => Math.min(250, Math.ceil(steps / 10));

/** Flags that change what is written down and when, but no step. */
const FREE: ReadonlySet<string> = new Set(['evalEvery', 'checkpointEvery', 'monitor']);

/** Flags that name a file or a directory, unless they are one of these words. */
const PATHS: ReadonlySet<string> = new Set(['data', 'valData', 'tokenizer', 'checkpoint']);
const WORDS: ReadonlySet<unknown> = new Set(['char', 'bpe', 'wordpiece']);

/** savedPath — a path as settings keep it: absolute, so that a run goes on from anywhere. */
export const savedPath = (path: string): string => (WORDS.has(path) ? path : resolve(path));

/**
 * resumedSettings — the settings of the run being resumed; flags that were not given are the run's own.
 *
 * `--eval-every`, `--checkpoint-every` and `--monitor` may change, and so may `--steps` with the constant schedule, the only one that does
 * not depend on it.
 * @throws UsageError  if another flag was given with another value; the message names all of them.
 */
export function resumedSettings<S extends RunSettings>(saved: S, flags: Flags): S {
  const wanted: S = { ...saved, ...givenSettings(saved, flags) };
  const schedule = (saved as { schedule?: unknown }).schedule;
  const mayChange = (name: keyof S): boolean => FREE.has(name as string) || (name === 'steps' && schedule === 'constant');
  const differing = (Object.keys(saved) as (keyof S & string)[]).filter((name) => wanted[name] !== saved[name] && !mayChange(name));
  if (differing.length > 0) {
    const list = differing.map((name) => `${flagOf(name)} ${String(wanted[name])} (the run has ${String(saved[name])})`).join(', ');
    const help = !differing.includes('steps') ? '' : ` ${schedule === undefined ? 'The' : `A ${String(schedule)}`} schedule depends on the number of steps.`;
    throw new UsageError(`--resume must keep what decides the run, got ${list}.${help}`);
  }
  return wanted;
}

function givenSettings<S extends RunSettings>(saved: S, flags: Flags): Partial<S> {
  const names = Object.keys(saved).filter((name) => flags.given.has(name));
  return Object.fromEntries(names.map((name) => {
    const value = (flags as unknown as Record<string, unknown>)[name];
    return [name, PATHS.has(name) && typeof value === 'string' ? savedPath(value) : value];
  })) as Partial<S>;
}

/**
 * decisive — what `train()` compares on resuming: all settings but those that may change, the places of files, and those that older runs
 * lack and that are as there.
 *
 * @param later  settings that were not always there, and what runs without them had.
 */
export function decisive(settings: RunSettings, later: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const isFree = (name: string): boolean => FREE.has(name) || (PATHS.has(name) && name !== 'tokenizer') || (name === 'steps' && (settings as { schedule?: unknown }).schedule === 'constant');
  return Object.fromEntries(Object.entries(settings).filter(([name, value]) => !isFree(name) && !(Object.hasOwn(later, name) && later[name] === value)));
}
