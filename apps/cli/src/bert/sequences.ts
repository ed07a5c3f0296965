import { join } from 'node:path';
import { loadTokenizer, openTokens, textPieces, trainWordPiece, writeTokens, type Tokenizer } from '@evenkeel/data';
import { specialTokens, type SpecialTokens } from '@evenkeel/models-bert';
import { DEFAULT_CORPUS, defaultCorpus } from '../gpt/defaultCorpus.ts';
import { UsageError } from '../errors.ts';
import { TOKENS } from '../runDirectory.ts';
import { saveTokenizer } from '../tokenizerFiles.ts';
import type { BertSettings } from './bertSettings.ts';

/** SequenceData — the text of a run as sequences with special tokens, split. */
export type SequenceData = {
  /** Where the text came from, for people. */
  readonly name: string;
  readonly tokenizer: Tokenizer;
  readonly specials: SpecialTokens & { readonly maskId: number };
  readonly train: readonly Int32Array[];
  readonly val: readonly Int32Array[];
};

type TextSettings = Pick<BertSettings, 'data' | 'tokenizer' | 'vocabSize' | 'keepCase' | 'sequence' | 'context'>;

/** prepareSequences — tokenizes the text of a new run into `directory`: every line or paragraph by itself, longer ones in pieces, without special tokens that it spells out; its vocabulary size. */
export async function prepareSequences(settings: TextSettings & Pick<BertSettings, 'valFraction' | 'batchSize'>, directory: string): Promise<number> {
  const { data, tokenizer: kind, vocabSize, keepCase, context } = settings;
  const pieces = (): Iterable<string> => (data === null ? [defaultCorpus()] : textPieces(data));
  const tokenizer = kind === 'wordpiece' ? trainWordPiece(pieces(), { vocabSize: vocabSize as number, lowercase: !keepCase }) : await loadTokenizer(kind);
  const { clsId, sepId, padId, maskId } = maskedSpecials(tokenizer, kind);
  const specials = new Set([clsId, sepId, padId, maskId]); // a text may spell them out
  const room = context - 2;
  const ids: number[] = [];
  for (const text of unitsOf(pieces(), settings.sequence)) {
    const tokens = tokenizer.encode(text).filter((id) => !specials.has(id));
    for (let start = 0; start < tokens.length; start += room) {
      ids.push(clsId);
      for (const id of tokens.subarray(start, start + room)) ids.push(id);
      ids.push(sepId);
    }
  }
  if (ids.length === 0) throw new UsageError(`--data must hold text besides special tokens, got none in ${data ?? DEFAULT_CORPUS}`);
  await writeTokens(join(directory, TOKENS), Int32Array.from(ids), { vocabSize: tokenizer.vocabSize });
  await saveTokenizer(tokenizer, directory);
  await openSequences(settings, directory); // checks that there are enough
  return tokenizer.vocabSize;
}

/** openSequences — the sequences of a run that was prepared before. */
export async function openSequences({ data, valFraction, batchSize }: Pick<BertSettings, 'data' | 'valFraction' | 'batchSize'>, directory: string): Promise<SequenceData> {
  const tokenizer = await loadTokenizer(join(directory, 'tokenizer.json'));
  const specials = maskedSpecials(tokenizer, directory);
  const file = await openTokens(join(directory, TOKENS));
  try {
    const ids = new Int32Array(file.length);
    file.read(0, ids);
    const starts = [...ids.keys()].filter((i) => ids[i] === specials.clsId);
    const sequences = starts.map((start, i) => ids.subarray(start, starts[i + 1] ?? ids.length));
    const kept = Math.round(sequences.length * valFraction);
    const [train, val] = [sequences.slice(0, sequences.length - kept), sequences.slice(sequences.length - kept)];
    if (train.length < batchSize) throw new UsageError(`--data must hold at least the ${batchSize} sequences of a batch, got ${train.length} to train on in ${data ?? DEFAULT_CORPUS}; --sequence says what one is`);
    if (valFraction > 0 && kept === 0) throw new UsageError(`--val-fraction must leave a sequence for validation, or be 0, got ${valFraction} of ${sequences.length} sequences`);
    return { name: data ?? DEFAULT_CORPUS, tokenizer, specials, train, val };
  } finally {
    file.close();
  }
}

function maskedSpecials(tokenizer: Tokenizer, where: string): SpecialTokens & { readonly maskId: number } {
  const specials = specialTokens(tokenizer, where);
  if (specials.maskId === undefined) throw new UsageError(`the tokenizer must have [MASK] or <mask>, got neither in ${where}`);
  return { ...specials, maskId: specials.maskId };
}

/** The lines or paragraphs of a text that comes in pieces; paragraphs have empty lines between them. */
function* unitsOf(pieces: Iterable<string>, unit: BertSettings['sequence']): Generator<string> {
  let paragraph: string[] = [];
  for (const line of linesOf(pieces)) {
    if (line.trim() === '') {
      if (paragraph.length > 0) yield paragraph.join(' ');
      paragraph = [];
    } else if (unit === 'line') yield line;
    else paragraph.push(line.trim());
  }
  if (paragraph.length > 0) yield paragraph.join(' ');
}

function* linesOf(pieces: Iterable<string>): Generator<string> {
  let rest = '';
  for (const piece of pieces) {
    const lines = (rest + piece).split('\n');
    rest = lines.pop() as string;
    yield* lines;
  }
  yield rest;
}
