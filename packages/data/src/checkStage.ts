import { ConfigError, UnsupportedError } from '@evenkeel/core-tensor';
import { quoteText } from './textErrors.ts';
import type { TokenizerStage } from './tokenizer.ts';

/** What a setting of a stage must be; a trailing `?` allows it to be absent or null. */
type Kind = 'text' | 'flag' | 'count' | 'size' | 'pattern' | 'stages' | 'special' | 'template';
type Settings = Readonly<Record<string, Kind | `${Kind}?`>>;
type StageName = 'normalizer' | 'pre_tokenizer' | 'post_processor' | 'decoder';

const BYTE_LEVEL: Settings = { add_prefix_space: 'flag?', trim_offsets: 'flag?', use_regex: 'flag?' };
const METASPACE: Settings = { replacement: 'text?', str_rep: 'text?', prepend_scheme: 'text?', add_prefix_space: 'flag?', split: 'flag?' };
const WITH_SPECIAL: Settings = { sep: 'special', cls: 'special' };

/** The stages that the library knows, and the settings that each reads. */
const STAGES: Readonly<Record<StageName, Readonly<Record<string, Settings>>>> = {
  normalizer: {
    BertNormalizer: { clean_text: 'flag?', handle_chinese_chars: 'flag?', strip_accents: 'flag?', lowercase: 'flag?' },
    Precompiled: {}, Sequence: { normalizers: 'stages' }, Replace: { pattern: 'pattern', content: 'text' },
    NFC: {}, NFD: {}, NFKC: {}, NFKD: {}, Strip: { strip_left: 'flag?', strip_right: 'flag?' }, StripAccents: {}, Lowercase: {},
    Prepend: { prepend: 'text' },
  },
  pre_tokenizer: {
    BertPreTokenizer: {}, Sequence: { pretokenizers: 'stages' }, Whitespace: {}, WhitespaceSplit: {}, Metaspace: METASPACE, ByteLevel: BYTE_LEVEL,
    Split: { pattern: 'pattern', behavior: 'text?', invert: 'flag?' }, Punctuation: { behavior: 'text?' }, Digits: { individual_digits: 'flag?' },
    Replace: { pattern: 'pattern', content: 'text' }, FixedLength: { length: 'size' },
  },
  post_processor: {
    TemplateProcessing: { single: 'template', pair: 'template?' }, ByteLevel: BYTE_LEVEL, BertProcessing: WITH_SPECIAL, RobertaProcessing: WITH_SPECIAL,
    Sequence: { processors: 'stages' },
  },
  decoder: {
    ByteLevel: BYTE_LEVEL, WordPiece: { prefix: 'text?', cleanup: 'flag?' }, Metaspace: METASPACE, BPEDecoder: { suffix: 'text?' },
    CTC: { pad_token: 'text?', word_delimiter_token: 'text?', cleanup: 'flag?' }, Sequence: { decoders: 'stages' },
    Replace: { pattern: 'pattern', content: 'text' }, Fuse: {}, Strip: { content: 'text?', start: 'count?', stop: 'count?' }, ByteFallback: {},
  },
};

const DEEPEST = 8;
const MOST_STAGES = 64;

/**
 * checkStage — that one stage of a `tokenizer.json` is null or of a known type with settings of the right kind.
 *
 * @throws UnsupportedError  for an unknown type; ConfigError for a setting, naming it.
 */
export function checkStage(where: string, name: StageName, value: unknown, depth = 0): TokenizerStage | null {
  if (value === null && depth === 0) return null;
  const type = isObject(value) ? value['type'] : undefined;
  if (!isObject(value) || typeof type !== 'string') throw new ConfigError(`${where}: ${name} must be null or have a type, got ${brief(value)}`);
  const settings = Object.hasOwn(STAGES[name], type) ? STAGES[name][type] : undefined;
  if (settings === undefined) throw new UnsupportedError(`${where}: ${name} must be one of ${Object.keys(STAGES[name]).join(', ')}, got ${brief(type)}`);
  if (depth > DEEPEST) throw new ConfigError(`${where}: ${name} must be nested at most ${DEEPEST} deep, got more`);
  for (const [key, expected] of Object.entries(settings)) {
    const setting = value[key] ?? null;
    if (setting === null && expected.endsWith('?')) continue;
    const kind = expected.replace('?', '') as Kind;
    if (kind === 'stages') checkStages(where, name, setting, depth);
    else if (!KINDS[kind](setting)) throw new ConfigError(`${where}: ${key} of ${name} ${type} must be ${DESCRIPTIONS[kind]}, got ${brief(setting)}`);
  }
  return value as TokenizerStage;
}

function checkStages(where: string, name: StageName, value: unknown, depth: number): void {
  if (!Array.isArray(value) || value.length > MOST_STAGES) {
    throw new ConfigError(`${where}: ${name} Sequence must be a list of at most ${MOST_STAGES} stages, got ${brief(value)}`);
  }
  for (const stage of value) checkStage(where, name, stage, depth + 1);
}

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null && !Array.isArray(value);
const isCount = (value: unknown): boolean => Number.isSafeInteger(value) && (value as number) >= 0;

const isPattern = (value: unknown): boolean => isObject(value) && (typeof value['Regex'] === 'string' || (typeof value['String'] === 'string' && value['String'] !== ''));

const isTemplate = (value: unknown): boolean => Array.isArray(value) && value.length <= MOST_STAGES && value.every((item: unknown) => {
  const [part, ...rest] = isObject(item) ? Object.entries(item) : [];
  if (part === undefined || rest.length > 0) return false;
  const [kind, content] = part;
  return isObject(content) && typeof content['id'] === 'string' && (kind === 'SpecialToken' || (kind === 'Sequence' && ['A', 'B'].includes(content['id'])));
});

const KINDS: Readonly<Record<Exclude<Kind, 'stages'>, (value: unknown) => boolean>> = {
  text: (value) => typeof value === 'string',
  flag: (value) => typeof value === 'boolean',
  count: isCount,
  size: (value) => isCount(value) && value !== 0,
  pattern: isPattern,
  special: (value) => Array.isArray(value) && typeof value[0] === 'string' && isCount(value[1]),
  template: isTemplate,
};

const DESCRIPTIONS: Readonly<Record<Exclude<Kind, 'stages'>, string>> = {
  text: 'text', flag: 'true or false', count: 'an integer ≥ 0', size: 'an integer ≥ 1', pattern: '{ Regex } or { String }',
  special: '[token, id]', template: 'a list of SpecialToken and Sequence',
};

const brief = (value: unknown): string => quoteText(typeof value === 'string' ? value : (JSON.stringify(value) ?? 'nothing'));
