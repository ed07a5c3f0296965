import { UsageError } from '../errors.ts';
import { flagOf } from '../flags.ts';
import { newGptSettings, type GptSettings, type TrainGptFlags } from '../gpt/gptSettings.ts';
import { checkModelSettings } from '../modelSettings.ts';
import { techniquesInWords } from '../techniques.ts';
import { LEARNING_RATES, STEPS } from './sweepFlags.ts';
import type { Technique } from './technique.ts';

/** SweepFlags — the flags of `sweep` as parsed, those of a configuration file among them. */
export type SweepFlags = Omit<TrainGptFlags, 'learningRate' | 'evalEvery'> & {
  readonly learningRates?: readonly number[];
  readonly vary?: readonly Technique[];
  readonly dims?: readonly number[];
  readonly depths?: readonly number[];
};

/** PlannedRun — one run of a sweep. `id` says technique, size and learning rate, and is the name of its directory. */
export type PlannedRun = { readonly id: string; readonly technique: string; readonly settings: GptSettings };

/** SweepPlan — what a sweep measures, in the order in which it does: sizes, of each the techniques, of each the learning rates. */
export type SweepPlan = { readonly techniques: readonly Pick<Technique, 'name' | 'says'>[]; readonly runs: readonly [PlannedRun, ...PlannedRun[]] };

/** Readings of a run. */
const READINGS = 50;

/**
 * planSweep — every run of a sweep.
 *
 * @throws UsageError  if flags do not fit together.
 */
export function planSweep(flags: SweepFlags): SweepPlan {
  for (const [list, one] of [['dims', 'dim'], ['depths', 'depth']] as const) {
    if (flags.given.has(list) && flags.given.has(one)) throw new UsageError(`${flagOf(one)} must be left out with ${flagOf(list)}, got ${flags[one]}`);
  }
  const techniques = flags.vary ?? [plainTechnique(flags)];
  checkNames(techniques);
  const sizes = (flags.dims ?? [flags.dim]).flatMap((dim) => (flags.depths ?? [flags.depth]).map((depth) => ({ dim, depth })));
  const runs = sizes.flatMap((size) => techniques.flatMap((technique) => runsOf(flags, size, technique))) as [PlannedRun, ...PlannedRun[]];
  checkRun(runs[0]);
  return { techniques: techniques.map(({ name, says }) => ({ name, says })), runs };
}

function plainTechnique(flags: SweepFlags): Technique {
  const says = techniquesInWords(newGptSettings(flags));
  return { name: says === '' ? 'plain' : says, says: '', flags: {} };
}

function runsOf(flags: SweepFlags, size: { dim: number; depth: number }, { name, flags: varied }: Technique): PlannedRun[] {
  const { learningRates = flags.learningRates ?? LEARNING_RATES, ...techniques } = varied as { learningRates?: readonly number[] };
  const { steps = STEPS } = flags;
  return learningRates.map((learningRate) => {
    const given = new Set([...flags.given, ...Object.keys(techniques)]);
    const settings = newGptSettings({ ...flags, ...techniques, ...size, steps, learningRate, given } as TrainGptFlags);
    const { checkpointEvery = Math.ceil(steps / 5), monitor = Math.max(1, Math.floor(steps / READINGS)) } = flags;
    return { id: idOf(name, settings), technique: name, settings: { ...settings, evalEvery: steps, checkpointEvery, monitor } };
  });
}

/** checkRun — throws UsageError unless a run is one that a sweep can have; its id is what its directory is called, so nobody else may choose it. */
export function checkRun({ id, technique, settings }: PlannedRun): void {
  checkModelSettings(settings);
  if (settings.valFraction === 0) throw new UsageError('--val-fraction must be > 0 in a sweep, which compares validation losses, got 0');
  if (id !== idOf(technique, settings)) throw new UsageError(`the id of a run must be ${idOf(technique, settings)}, after technique, size and learning rate, got ${id}`);
}

const slug = (name: string): string => name.toLowerCase().replace(/[^a-z0-9.]+/g, '-').replace(/^-|-$/g, '') || 'technique';

const idOf = (name: string, { dim, depth, learningRate }: GptSettings): string => `${slug(name)}-dim${dim}-depth${depth}-lr${learningRate}`;

function checkNames(techniques: readonly Technique[]): void {
  const slugs = techniques.map(({ name }) => slug(name));
  const twice = slugs.findIndex((each, i) => slugs.indexOf(each) !== i);
  if (twice >= 0) throw new UsageError(`--vary must have names that differ in letters or digits, got ${JSON.stringify(techniques[twice]?.name)} after ${JSON.stringify(techniques[slugs.indexOf(slugs[twice] as string)]?.name)}`);
}

/** What all runs of a sweep have in common, whatever it compares. */
const SHARED = ['data', 'tokenizer', 'vocabSize', 'valFraction', 'seed', 'steps', 'context', 'batchSize', 'numHeads', 'precision'] as const satisfies readonly (keyof GptSettings)[];

/** Settings that change what is written down, but no number of a run. */
const FREE: ReadonlySet<string> = new Set(['evalEvery', 'checkpointEvery', 'monitor']);

/**
 * checkSameSweep — that a plan goes on with the sweep that was begun: learning rates, techniques and sizes may be added or left out, all
 * else must be as it was.
 *
 * @param earlier  the runs that were planned or measured before.
 * @throws UsageError  naming what differs.
 */
export function checkSameSweep(plan: SweepPlan, earlier: readonly Pick<PlannedRun, 'id' | 'settings'>[], out: string): void {
  const differences = new Set<string>();
  const compare = (names: readonly string[], wanted: GptSettings, had: GptSettings, of: string): void => {
    for (const name of names as (keyof GptSettings)[]) {
      if (wanted[name] !== had[name]) differences.add(`${flagOf(name)} ${wanted[name]}${of} (the sweep has ${had[name]})`);
    }
  };
  const [first] = earlier;
  if (first !== undefined) for (const { settings } of plan.runs) compare(SHARED, settings, first.settings, '');
  const byId = new Map(earlier.map((each) => [each.id, each.settings]));
  for (const { id, technique, settings } of plan.runs) {
    const had = byId.get(id);
    if (had !== undefined) compare(Object.keys(settings).filter((name) => !FREE.has(name) && !(SHARED as readonly string[]).includes(name)), settings, had, ` of ${technique}`);
  }
  if (differences.size > 0) throw new UsageError(`--out must hold the same sweep, got ${[...differences].join(', ')} in ${out}; choose another --out`);
}
