import { foldSeed } from '@evenkeel/core-tensor';
import { generate } from '@evenkeel/models-gpt';
import { printable } from './format.ts';
import { withPlainModel } from './savedModel.ts';
import type { TrainingRun } from './trainingRun.ts';

const TOKENS = 240;

/** drawSample — what a freshly trained model writes, from a line break on if the tokenizer has one; printable. */
export async function drawSample(run: TrainingRun): Promise<string> {
  const { data: { tokenizer }, settings: { seed } } = run;
  const start = tokenizer.tokenToId('\n') ?? tokenizer.tokenToId('Ċ') ?? 0; // Ċ: a line break in the byte alphabet
  const ids: number[] = [];
  await withPlainModel(run, async ({ model, params }) => {
    for await (const id of generate(model, params, [start], { maxTokens: TOKENS, temperature: 0.8, seed: foldSeed(seed, 'sample') })) ids.push(id);
  });
  return printable(tokenizer.decode(ids)).trim();
}
