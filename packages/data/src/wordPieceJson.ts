import { PLAIN_CONFIG, type TokenizerJson, type TokenizerStage } from './tokenizer.ts';

/** WORD_PIECE_SPECIALS — BERT's special tokens, in the order of their ids. */
export const WORD_PIECE_SPECIALS = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]'] as const;

/** CONTINUING — stands before a piece that does not begin a word. */
export const CONTINUING = '##';

/** LONGEST_WORD — characters of a word; a longer one is unknown. */
export const LONGEST_WORD = 100;

export type WordPieceStages = {
  /** Whether text is put into small letters; default true. */
  lowercase?: boolean;
  /** Whether marks above and below letters go, those of Arabic included; default as `lowercase`. */
  stripAccents?: boolean;
  /** Done before BERT's own cleaning; default nothing. See `ARABIC_CLEANING`. */
  normalizers?: readonly TokenizerStage[];
};

const replace = (pattern: string, content: string): TokenizerStage => ({ type: 'Replace', pattern: { Regex: pattern }, content });

/**
 * ARABIC_CLEANING — for comments in Arabic script or Latin letters: without addresses and user names, tatweel and more than two of the same letter in a
 * row; one form of alef, ya and ta marbuta. As stages of `tokenizer.json`, so that whoever reads the file does the same.
 */
export const ARABIC_CLEANING: readonly TokenizerStage[] = [
  replace('https?://\\S+|www\\.\\S+', ' '), replace('@[\\p{L}\\p{N}_.]+', ' '), replace('\u0640', ''),
  replace('[\u0622\u0623\u0625\u0671]', '\u0627'), replace('\u0649', '\u064A'), replace('\u0629', '\u0647'), replace('(\\p{L})(?=\\1\\1)', ''),
];

/**
 * wordPieceJson — the `tokenizer.json` of a BERT: its normalizer and pre-tokenizer, WordPiece, and `[CLS] A [SEP] B [SEP]`.
 *
 * @param vocab  with the five special tokens.
 */
export function wordPieceJson(vocab: Readonly<Record<string, number>>, { lowercase = true, stripAccents, normalizers = [] }: WordPieceStages = {}): TokenizerJson {
  const bert: TokenizerStage = { type: 'BertNormalizer', clean_text: true, handle_chinese_chars: true, strip_accents: stripAccents ?? null, lowercase };
  const special = (token: string, type: number) => ({ SpecialToken: { id: token, type_id: type } });
  const part = (id: 'A' | 'B', type: number) => ({ Sequence: { id, type_id: type } });
  const single = [special('[CLS]', 0), part('A', 0), special('[SEP]', 0)];
  return {
    version: '1.0', truncation: null, padding: null,
    added_tokens: WORD_PIECE_SPECIALS.map((content) => ({ id: vocab[content] as number, content, single_word: false, lstrip: false, rstrip: false, normalized: false, special: true })),
    normalizer: normalizers.length === 0 ? bert : { type: 'Sequence', normalizers: [...normalizers, bert] },
    pre_tokenizer: { type: 'BertPreTokenizer' },
    post_processor: {
      type: 'TemplateProcessing', single, pair: [...single, part('B', 1), special('[SEP]', 1)],
      special_tokens: Object.fromEntries(['[CLS]', '[SEP]'].map((token) => [token, { id: token, ids: [vocab[token] as number], tokens: [token] }])),
    },
    decoder: { type: 'WordPiece', prefix: CONTINUING, cleanup: false },
    model: { type: 'WordPiece', unk_token: '[UNK]', continuing_subword_prefix: CONTINUING, max_input_chars_per_word: LONGEST_WORD, vocab },
  };
}

/** WORD_PIECE_CONFIG — the `tokenizer_config.json` beside it. */
export const WORD_PIECE_CONFIG = {
  ...PLAIN_CONFIG, unk_token: '[UNK]', pad_token: '[PAD]', cls_token: '[CLS]', sep_token: '[SEP]', mask_token: '[MASK]',
} as const;
