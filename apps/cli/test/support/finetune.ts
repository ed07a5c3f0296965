import { readFileSync } from 'node:fs';
import { beforeAll } from 'vitest';
import { evenkeelJson, scratch, sentences } from './evenkeel.ts';
import { labelled, TINY_BERT } from './texts.ts';

export const CPU = ['--device', 'wasm'];

/** fineTuning — a scratch folder with two tiny models that are to be fine-tuned, `base` and `mosaic`, 96 labelled texts, and the commands on them. */
export function fineTuning() {
  const files = scratch();
  const data = files.write('train.tsv', labelled(96));
  beforeAll(async () => {
    const corpus = files.write('corpus.txt', sentences(120));
    const base = ['train', 'bert', '--data', corpus, ...TINY_BERT, '--steps', '2', '--dropout', '0.1'];
    await Promise.all([evenkeelJson([...base, '--out', files.at('base')]), evenkeelJson([...base, '--arch', 'mosaic', '--out', files.at('mosaic')])]);
  });
  return {
    files, data,
    tune: (out: string, ...flags: string[]) => ['finetune', '--checkpoint', files.at('base'), '--task', 'classification', '--data', data, ...CPU, '--learning-rate', '0.02', '--out', files.at(out), ...flags],
    jsonOf: (path: string): Record<string, unknown> => JSON.parse(readFileSync(files.at(path), 'utf8')) as Record<string, unknown>,
    predict: (checkpoint: string, ...flags: string[]) => evenkeelJson(['predict', '--checkpoint', files.at(checkpoint), ...CPU, ...flags]),
  };
}
