import { UsageError } from '../errors.ts';
import { isBoolean, isCount, isNumber, isOneOf, isText, orNull, type Test } from '../fields.ts';
import { checkModelSettings, MODEL_TESTS, modelSettings, type ModelFlags, type ModelSettings } from '../modelSettings.ts';
import { savedPath } from '../runSettings.ts';
import { ARCHS, PLACEMENTS, SEQUENCES } from '../techniqueNames.ts';
import { PLAIN_COMMON, type CommonTechniques } from '../techniques.ts';

/** BertSettings — what decides the numbers of a masked-language pre-training run. */
export type BertSettings = ModelSettings & {
  /** Absolute path of the text, or null for the default corpus. */
  readonly data: string | null;
  /** `wordpiece`, or the absolute path of a tokenizer.json. */
  readonly tokenizer: string;
  /** Of a tokenizer that is trained for this run; null with any other. */
  readonly vocabSize: number | null;
  readonly keepCase: boolean;
  readonly sequence: (typeof SEQUENCES)[number];
  readonly arch: (typeof ARCHS)[number];
  /** Share of the tokens that are masked. */
  readonly maskRate: number;
  /** Longest sequence, in tokens. */
  readonly context: number;
};

/** BERT_PLAIN — BERT and AdamW as they are. */
export const BERT_PLAIN: CommonTechniques = { ...PLAIN_COMMON, placement: 'own' };

/** BERT_TESTS — what each of them must be, where a file says it. */
export const BERT_TESTS = {
  data: orNull(isText), tokenizer: isText, vocabSize: orNull(isCount), keepCase: isBoolean, sequence: isOneOf(SEQUENCES), arch: isOneOf(ARCHS), maskRate: isNumber, ...MODEL_TESTS,
  placement: isOneOf(['own', ...PLACEMENTS]), context: isCount,
} as const satisfies Readonly<Record<keyof BertSettings, Test>>;

/** TrainBertFlags — the flags of `train bert` that become settings, as parsed. */
export type TrainBertFlags = ModelFlags & Pick<BertSettings, 'tokenizer' | 'sequence' | 'arch' | 'context'> & {
  readonly data?: string;
  readonly vocabSize?: number;
  readonly keepCase?: boolean;
  readonly maskRate?: number;
};

const STEPS = 2000;
const VOCAB_SIZE = 4096;
/** Of the default corpus: a minute or two on two cores. */
const STEPS_WITHOUT_DATA = 400;
/** Of BERT (arXiv:1810.04805) and of MosaicBERT (arXiv:2312.17482). */
const MASK_RATES = { bert: 0.15, mosaic: 0.3 } as const;

/**
 * newBertSettings — the settings of a new run: flags, and the defaults that depend on other flags.
 *
 * @throws UsageError  if flags do not fit together.
 */
export function newBertSettings(flags: TrainBertFlags): BertSettings {
  const isTrained = flags.tokenizer === 'wordpiece';
  for (const name of ['vocabSize', 'keepCase'] as const) {
    if (flags[name] !== undefined && !isTrained) throw new UsageError(`--${name === 'vocabSize' ? 'vocab-size' : 'keep-case'} must be left out with --tokenizer ${flags.tokenizer}, got ${flags[name]}`);
  }
  const steps = flags.steps ?? (flags.data === undefined ? STEPS_WITHOUT_DATA : STEPS);
  const settings: BertSettings = {
    data: flags.data === undefined ? null : savedPath(flags.data), tokenizer: savedPath(flags.tokenizer), vocabSize: isTrained ? flags.vocabSize ?? VOCAB_SIZE : null,
    keepCase: flags.keepCase ?? false, sequence: flags.sequence, arch: flags.arch, maskRate: flags.maskRate ?? MASK_RATES[flags.arch],
    ...modelSettings(flags, steps, BERT_PLAIN), context: flags.context,
  };
  checkBertSettings(settings);
  return settings;
}

/** checkBertSettings — throws UsageError unless settings fit together. */
export function checkBertSettings(settings: BertSettings): void {
  checkModelSettings(settings);
  if (settings.context < 3) throw new UsageError(`--context must be at least 3, for [CLS], a token and [SEP], got ${settings.context}`);
}
