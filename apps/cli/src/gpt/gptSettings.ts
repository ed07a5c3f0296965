import { UsageError } from '../errors.ts';
import { isBoolean, isCount, isNumber, isText, orNull, type Test } from '../fields.ts';
import { checkModelSettings, MODEL_TESTS, modelSettings, type ModelFlags, type ModelSettings } from '../modelSettings.ts';
import { savedPath } from '../runSettings.ts';
import { PLAIN, type TechniqueSettings } from '../techniques.ts';

/** GptSettings — what decides the numbers of a training run of a GPT. */
export type GptSettings = ModelSettings & TechniqueSettings & {
  /** Absolute path of the text, or null for the default corpus. */
  readonly data: string | null;
  /** `char`, `bpe`, or the absolute path of a tokenizer.json. */
  readonly tokenizer: string;
  /** Of a bpe tokenizer that is trained for this run; null with any other. */
  readonly vocabSize: number | null;
  readonly context: number;
};

/** GPT_TESTS — what each of them must be, where a file says it. */
export const GPT_TESTS = {
  data: orNull(isText), tokenizer: isText, vocabSize: orNull(isCount), ...MODEL_TESTS, context: isCount, untiedHead: isBoolean, zLoss: isNumber,
} as const satisfies Readonly<Record<keyof GptSettings, Test>>;

/** LATER_GPT_SETTINGS — settings that were not always there, and what runs without them had. */
export const LATER_GPT_SETTINGS = { precision: 'f32', monitor: 0, ...PLAIN } as const satisfies Partial<GptSettings>;

/** TrainGptFlags — the flags of `train gpt` that become settings, as parsed. */
export type TrainGptFlags = ModelFlags & Pick<GptSettings, 'tokenizer' | 'context'> & Partial<TechniqueSettings> & {
  readonly data?: string;
  readonly vocabSize?: number;
};

const STEPS = 2000;
const VOCAB_SIZE = 1024;
/** Of the default corpus: about a minute on two cores. */
const STEPS_WITHOUT_DATA = 400;

/**
 * newGptSettings — the settings of a new run: flags, and the defaults that depend on other flags.
 *
 * @throws UsageError  if flags do not fit together.
 */
export function newGptSettings(flags: TrainGptFlags): GptSettings {
  if (flags.vocabSize !== undefined && flags.tokenizer !== 'bpe') throw new UsageError(`--vocab-size must be left out with --tokenizer ${flags.tokenizer}, got ${flags.vocabSize}`);
  const steps = flags.steps ?? (flags.data === undefined ? STEPS_WITHOUT_DATA : STEPS);
  const settings: GptSettings = {
    data: flags.data === undefined ? null : savedPath(flags.data), tokenizer: savedPath(flags.tokenizer), vocabSize: flags.tokenizer === 'bpe' ? flags.vocabSize ?? VOCAB_SIZE : null,
    ...modelSettings(flags, steps, PLAIN), context: flags.context,
  };
  checkModelSettings(settings);
  return settings;
}
