/** AddedToken — a token that is cut out of the text before anything else, such as `<|endoftext|>`. */
export type AddedToken = {
  readonly id: number;
  readonly content: string;
  readonly single_word?: boolean;
  readonly lstrip?: boolean;
  readonly rstrip?: boolean;
  readonly normalized?: boolean;
  readonly special?: boolean;
};

/** TokenizerStage — normalizer, pre-tokenizer, post-processor or decoder of a `tokenizer.json`. */
export type TokenizerStage = { readonly type: string; readonly [key: string]: unknown };

/** TokenizerModel — the `model` of a `tokenizer.json`. */
export type TokenizerModel = {
  readonly type: string;
  readonly vocab: Readonly<Record<string, number>> | readonly (readonly [token: string, score: number])[];
  readonly merges?: readonly (string | readonly [string, string])[];
  readonly unk_token?: string | null;
  readonly [key: string]: unknown;
};

/** TokenizerJson — the content of a Hugging Face `tokenizer.json`. */
export type TokenizerJson = {
  readonly version?: string;
  readonly added_tokens: readonly AddedToken[];
  readonly normalizer: TokenizerStage | null;
  readonly pre_tokenizer: TokenizerStage | null;
  readonly post_processor: TokenizerStage | null;
  readonly decoder: TokenizerStage | null;
  readonly model: TokenizerModel;
  readonly [key: string]: unknown;
};

/**
 * EncodeOptions — `addSpecialTokens` (default false): let the post-processor add what it adds, such as [CLS] and [SEP];
 * `origin`: where the text begins in a larger one, for error messages.
 */
export type EncodeOptions = { addSpecialTokens?: boolean; origin?: TextOrigin };

/** TextOrigin — a place in a text: its position in UTF-16 code units from 0, its line from 1. */
export type TextOrigin = { readonly position: number; readonly line: number };

/** Tokenizer — text to token ids and back. */
export type Tokenizer = {
  /** `char`: one token per character; `bpe`: byte-level BPE as in GPT-2; `other`: whatever the Hugging Face library reads. */
  readonly kind: 'char' | 'bpe' | 'other';
  /** The largest token id + 1: rows an embedding needs. */
  readonly vocabSize: number;
  /** Throws ConfigError for a character the tokenizer has no token for. */
  encode(text: string, options?: EncodeOptions): Int32Array;
  /** Throws ConfigError for an id the tokenizer does not have. `char` and `bpe` give any encoded text back exactly. */
  decode(ids: ArrayLike<number>): string;
  /** The id of a whole token, as it stands in the vocabulary. */
  tokenToId(token: string): number | undefined;
  /** Whether a text may be encoded in the pieces of `textPieces`. */
  readonly piecewise: boolean;
  /** What belongs into `tokenizer.json`. */
  readonly json: TokenizerJson;
  /** What belongs into `tokenizer_config.json` beside it. */
  readonly config: Readonly<Record<string, unknown>>;
};

/** PLAIN_CONFIG — a `tokenizer_config.json` under which the library decodes exactly: no spaces are "cleaned up". */
export const PLAIN_CONFIG = { tokenizer_class: 'PreTrainedTokenizerFast', clean_up_tokenization_spaces: false } as const;
