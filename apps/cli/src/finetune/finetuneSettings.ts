import { dataset } from '@evenkeel/data';
import { UsageError } from '../errors.ts';
import { isCount, isNatural, isNumber, isOneOf, isShare, isText, orNull, type Test } from '../fields.ts';
import { everyFew, RUN_TESTS, savedPath, type Flags, type RunSettings } from '../runSettings.ts';
import { PRESETS, TASK_KINDS } from '../techniqueNames.ts';
import { AUGMENTATION_TESTS, divisibleBatch, type AugmentationFlags, type AugmentationSettings } from '../vit/vitSettings.ts';
import { rateFor, recipeOf, type TaskName } from './recipes.ts';

/** FinetuneSettings — what decides the numbers of a fine-tuning run. */
export type FinetuneSettings = RunSettings & AugmentationSettings & {
  /** Absolute path of the directory of the model that it starts from. */
  readonly checkpoint: string;
  readonly task: TaskName;
  /** Absolute paths of the examples; those for validation are null where they are a share of the others. */
  readonly data: string;
  readonly valData: string | null;
  readonly valFraction: number;
  /** Names of columns; null for the usual ones. */
  readonly textColumn: string | null;
  readonly textPairColumn: string | null;
  readonly labelColumn: string | null;
  /** Longest sequence; null for as long as the model's. */
  readonly maxLength: number | null;
  /** What becomes of texts that are longer. */
  readonly tooLong: 'cut' | 'refuse';
  readonly learningRate: number;
  readonly weightDecay: number;
  /** Null for the model's. */
  readonly dropout: number | null;
  /** Rank of the adapters that are trained in place of all weights; 0 for none. */
  readonly lora: number;
};

/** FINETUNE_TESTS — what each of them must be, where a file says it. */
export const FINETUNE_TESTS = {
  checkpoint: isText, task: isOneOf([...TASK_KINDS, ...PRESETS]), data: isText, valData: orNull(isText), valFraction: isShare, textColumn: orNull(isText), textPairColumn: orNull(isText),
  labelColumn: orNull(isText), maxLength: orNull(isCount), tooLong: isOneOf(['cut', 'refuse']), ...RUN_TESTS, learningRate: isNumber, weightDecay: isNumber, dropout: orNull(isShare), lora: isNatural,
  ...AUGMENTATION_TESTS,
} as const satisfies Readonly<Record<keyof FinetuneSettings, Test>>;

type Optional = 'valData' | 'textColumn' | 'textPairColumn' | 'labelColumn' | 'maxLength' | 'dropout';

/** FinetuneFlags — the flags of `finetune` that become settings, as parsed. */
export type FinetuneFlags = Flags & AugmentationFlags & Pick<FinetuneSettings, 'valFraction' | 'tooLong' | 'seed' | 'precision'>
  & Partial<Pick<FinetuneSettings, 'checkpoint' | 'task' | 'data' | 'batchSize' | 'steps' | 'learningRate' | 'weightDecay' | 'lora' | 'evalEvery' | 'checkpointEvery' | 'monitor'>>
  & { readonly [K in Optional]?: NonNullable<FinetuneSettings[K]> } & { readonly epochs?: number };

/** Presets whose examples can be fetched. */
const FETCHED = { sst2: ['sst2-train', 'sst2-dev'], cola: ['cola-train', 'cola-dev'] } as const;

/** withData — the flags, with the public examples of a task of GLUE where no others are named. */
export async function withData<F extends FinetuneFlags>(flags: F): Promise<F> {
  const names = flags.data === undefined ? FETCHED[flags.task as keyof typeof FETCHED] : undefined;
  if (names === undefined) return flags;
  const [{ path: data }, { path: valData }] = [await dataset(names[0]), await dataset(names[1])];
  return { ...flags, data, valData: flags.valData ?? valData };
}

/** checkFinetuneFlags — throws UsageError unless a new run says what it needs. */
export function checkFinetuneFlags(flags: FinetuneFlags): asserts flags is FinetuneFlags & Pick<FinetuneSettings, 'checkpoint' | 'task' | 'data'> {
  for (const name of ['checkpoint', 'task', 'data'] as const) {
    if (flags[name] === undefined) throw new UsageError(`evenkeel finetune needs --${name}; see evenkeel finetune --help`);
  }
  if (flags.steps !== undefined && flags.epochs !== undefined) throw new UsageError(`--epochs must be left out with --steps, got ${flags.epochs} and ${flags.steps}`);
}

/**
 * newFinetuneSettings — the settings of a new run: flags, and the recipe of the task.
 *
 * @param count  how many examples there are to train on.
 * @param dim    the width of an encoder of texts, which decides the learning rate that is not given.
 */
export function newFinetuneSettings(flags: FinetuneFlags & Pick<FinetuneSettings, 'checkpoint' | 'task' | 'data'>, count: number, augmentation: AugmentationSettings, dim?: number): FinetuneSettings {
  const lora = flags.lora ?? 0;
  const recipe = recipeOf(flags.task, lora > 0);
  const { batchSize = divisibleBatch(Math.min(recipe.batchSize, count), augmentation) } = flags;
  const { repeatedAugmentation: repeats } = augmentation;
  if (batchSize > count * repeats) throw new UsageError(`--batch-size must be at most the ${count} examples to train on in ${flags.data}${repeats > 1 ? ` times --repeated-augmentation ${repeats}` : ''}, got ${batchSize}`);
  const steps = flags.steps ?? Math.max(1, Math.round(((flags.epochs ?? recipe.epochs) * count) / batchSize));
  const evalEvery = flags.evalEvery ?? everyFew(steps);
  return {
    checkpoint: savedPath(flags.checkpoint), task: flags.task, data: savedPath(flags.data), valData: flags.valData === undefined ? null : savedPath(flags.valData), valFraction: flags.valFraction,
    textColumn: flags.textColumn ?? null, textPairColumn: flags.textPairColumn ?? null, labelColumn: flags.labelColumn ?? null, maxLength: flags.maxLength ?? null, tooLong: flags.tooLong,
    batchSize, steps, learningRate: flags.learningRate ?? (dim === undefined ? recipe.learningRate : rateFor(recipe, dim)), weightDecay: flags.weightDecay ?? recipe.weightDecay, dropout: flags.dropout ?? null, lora,
    seed: flags.seed, precision: flags.precision, evalEvery, checkpointEvery: flags.checkpointEvery ?? evalEvery, monitor: flags.monitor ?? 0, ...augmentation,
  };
}
