import { join } from 'node:path';
import type { Tensor2D } from '@tensorflow/tfjs-core';
import { foldSeed } from '@evenkeel/core-tensor';
import {
  charTokenizer, loadTokenizer, openTokens, randomBatches, splitTokens, textPieces, tokenizeText, trainBpe, writeTokens,
  type Tokenizer, type TokenSource,
} from '@evenkeel/data';
import { DEFAULT_CORPUS, defaultCorpus } from './defaultCorpus.ts';
import { UsageError } from '../errors.ts';
import { tensorsOf } from './evaluation.ts';
import { TOKENS } from '../runDirectory.ts';
import { saveTokenizer } from '../tokenizerFiles.ts';
import type { GptSettings } from './gptSettings.ts';

/** RunData — the text of a run as tokens, split and ready to be drawn from. */
export type RunData = {
  /** Where the text came from, for people. */
  readonly name: string;
  readonly tokenizer: Tokenizer;
  readonly vocabSize: number;
  readonly train: TokenSource;
  readonly val: TokenSource;
  /** Inputs and targets `b t` of a step: a function of seed and step alone. The caller's. */
  batch(step: number): { inputs: Tensor2D; targets: Tensor2D };
  close(): void;
};

/** prepareRunData — tokenizes the text of a new run into `directory` and checks that it is long enough; its vocabulary size. */
export async function prepareRunData(settings: GptSettings, directory: string): Promise<number> {
  const { data } = settings;
  const tokens = join(directory, TOKENS);
  if (data === null) {
    const text = defaultCorpus();
    const tokenizer = await makeTokenizer(settings, () => [text]);
    await writeTokens(tokens, tokenizer.encode(text), { vocabSize: tokenizer.vocabSize });
    await saveTokenizer(tokenizer, directory);
  } else {
    const tokenizer = await makeTokenizer(settings, () => textPieces(data));
    await tokenizeText(data, tokenizer, tokens);
    await saveTokenizer(tokenizer, directory);
  }
  const { vocabSize, close } = await openRunData(settings, directory);
  close();
  return vocabSize;
}

async function makeTokenizer({ tokenizer: kind, vocabSize }: GptSettings, pieces: () => Iterable<string>): Promise<Tokenizer> {
  if (kind === 'char') return charTokenizer(pieces());
  return kind === 'bpe' ? trainBpe(pieces(), { vocabSize: vocabSize as number }) : loadTokenizer(kind);
}

/** openRunData — the tokens of a run that was prepared before. */
export async function openRunData(settings: GptSettings, directory: string): Promise<RunData> {
  const { data, context, batchSize, valFraction, seed } = settings;
  const tokenizer = await loadTokenizer(join(directory, 'tokenizer.json'));
  const tokens = await openTokens(join(directory, TOKENS));
  const { train, val } = splitTokens(tokens, valFraction);
  checkLengths(train.length, val.length, settings);
  const batches = randomBatches(train, { contextLength: context, batchSize, seed: foldSeed(seed, 'data') });
  return {
    name: data ?? DEFAULT_CORPUS, tokenizer, vocabSize: tokenizer.vocabSize, train, val,
    batch: (step) => tensorsOf(batches.batch(step)),
    close: () => tokens.close(),
  };
}

function checkLengths(train: number, val: number, { data, context, valFraction }: GptSettings): void {
  if (train <= context) {
    const share = valFraction === 0 ? '' : ` beside the share of ${valFraction} for validation`;
    throw new UsageError(`--data must hold at least ${context + 1} tokens for --context ${context}${share}, got ${train} in ${data}`);
  }
  if (valFraction > 0 && val < 2) {
    throw new UsageError(`--val-fraction must leave at least 2 tokens for validation, or be 0, got ${valFraction} of ${train + val} tokens`);
  }
}
