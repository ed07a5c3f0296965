import { UsageError } from './errors.ts';
import { isBoolean, isCount, isNatural, isNumber, isOneOf, isShare, type Test } from './fields.ts';
import { DEFAULTS, INDEPENDENT_DECAY, type OptimizerSettings } from './optimizer.ts';
import { everyFew, RUN_TESTS, type Flags, type RunSettings } from './runSettings.ts';
import { warmupLimit } from './schedule.ts';
import { DECAY_MODES, GAMMAS, NORMS, OPTIMIZERS, PLACEMENTS, SCHEDULES } from './techniqueNames.ts';
import type { CommonTechniques } from './techniques.ts';

/** ModelSettings — what every run has that trains a model from scratch. */
export type ModelSettings = RunSettings & OptimizerSettings & CommonTechniques & {
  readonly depth: number;
  readonly dim: number;
  readonly numHeads: number;
  readonly dropout: number;
  readonly valFraction: number;
};

/** MODEL_TESTS — what each of them must be, where a file says it. */
export const MODEL_TESTS = {
  ...RUN_TESTS,
  depth: isCount, dim: isCount, numHeads: isCount, dropout: isShare, valFraction: isShare,
  learningRate: isNumber, warmup: isNatural, schedule: isOneOf(SCHEDULES), weightDecay: isNumber, clip: isNumber,
  placement: isOneOf(PLACEMENTS), norm: isOneOf(NORMS), qkNorm: isBoolean, sigmaReparam: isOneOf(GAMMAS), optimizer: isOneOf(OPTIMIZERS), weightDecayMode: isOneOf(DECAY_MODES), mup: isNatural,
} as const satisfies Readonly<Record<keyof ModelSettings, Test>>;

/** Settings whose default depends on others, or is that of the plain model. */
type WithoutFlag = 'steps' | 'learningRate' | 'weightDecay' | 'evalEvery' | 'checkpointEvery' | 'monitor' | keyof CommonTechniques;

/** ModelFlags — the flags that become ModelSettings, as parsed. */
export type ModelFlags = Flags & Omit<ModelSettings, WithoutFlag> & Partial<Pick<ModelSettings, WithoutFlag>>;

/**
 * modelSettings — the settings of a new run: flags, and the defaults that depend on other flags.
 *
 * The default warm-up is shortened to a tenth of the steps where it does not fit; one that was asked for must fit.
 * @param steps  of the run.
 * @param plain  the techniques of the plain model; what it names is what there is.
 */
export function modelSettings<T extends CommonTechniques>(flags: ModelFlags, steps: number, plain: T): ModelSettings & T {
  const techniques = { ...plain, ...Object.fromEntries(Object.entries(flags).filter(([name, value]) => Object.hasOwn(plain, name) && value !== undefined)) };
  const { optimizer, weightDecayMode } = techniques;
  const evalEvery = flags.evalEvery ?? everyFew(steps);
  const fits = flags.warmup <= warmupLimit(flags.schedule, steps);
  return {
    ...techniques,
    depth: flags.depth, dim: flags.dim, numHeads: flags.numHeads, batchSize: flags.batchSize, steps,
    learningRate: flags.learningRate ?? DEFAULTS[optimizer].learningRate,
    warmup: fits || flags.given.has('warmup') ? flags.warmup : Math.floor(steps / 10), schedule: flags.schedule,
    weightDecay: flags.weightDecay ?? (weightDecayMode === 'independent' ? INDEPENDENT_DECAY : DEFAULTS[optimizer].weightDecay),
    clip: flags.clip, dropout: flags.dropout, seed: flags.seed, precision: flags.precision, valFraction: flags.valFraction,
    evalEvery, checkpointEvery: flags.checkpointEvery ?? evalEvery, monitor: flags.monitor ?? 0,
  };
}

/** checkModelSettings — throws UsageError unless settings fit together. */
export function checkModelSettings({ dim, numHeads, schedule, warmup, steps, optimizer, weightDecayMode }: ModelSettings): void {
  if (dim % numHeads !== 0) throw new UsageError(`--dim must be divisible by --num-heads, got ${dim} and ${numHeads}`);
  if (weightDecayMode === 'independent' && optimizer !== 'adamw') throw new UsageError(`--weight-decay-mode independent must be used with --optimizer adamw, got ${optimizer}`);
  const limit = warmupLimit(schedule, steps);
  if (warmup > limit) throw new UsageError(`--warmup must be ≤ ${limit} with --schedule ${schedule} and --steps ${steps}, got ${warmup}`);
}
