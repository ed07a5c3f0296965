import { foldSeed } from '@evenkeel/core-tensor';
import type { Tokenizer } from '@evenkeel/data';
import { generate } from '@evenkeel/models-gpt';
import { printable } from '../format.ts';
import { withPlainModel, type TrainedModel } from './savedModel.ts';

const TOKENS = 240;

/** drawSample — what a freshly trained model writes, from a line break on if the tokenizer has one; printable. */
export async function drawSample(trained: TrainedModel & { readonly settings: { readonly seed: number } }, tokenizer: Tokenizer): Promise<string> {
  const start = tokenizer.tokenToId('\n') ?? tokenizer.tokenToId('Ċ') ?? 0; // Ċ: a line break in the byte alphabet
  const ids: number[] = [];
  await withPlainModel(trained, async ({ model, params }) => {
    for await (const id of generate(model, params, [start], { maxTokens: TOKENS, temperature: 0.8, seed: foldSeed(trained.settings.seed, 'sample') })) ids.push(id);
  });
  return printable(tokenizer.decode(ids)).trim();
}
