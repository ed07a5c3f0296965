import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { beforeAll, describe, expect, it } from 'vitest';
import { readSafetensors } from '@evenkeel/checkpoint';
import { evenkeel, evenkeelJson, metricsOf, scratch, sentences } from './support/evenkeel.ts';
import { killAfter, TINY_BERT } from './support/texts.ts';

const files = scratch();
const data = files.write('corpus.txt', sentences(120));
const train = (out: string, ...flags: string[]) => ['train', 'bert', '--data', data, ...TINY_BERT, '--steps', '30', '--out', files.at(out), ...flags];
const jsonOf = (path: string): Record<string, unknown> => JSON.parse(readFileSync(files.at(path), 'utf8')) as Record<string, unknown>;

describe('evenkeel train bert', () => {
  let result: Record<string, unknown>;
  beforeAll(async () => {
    result = await evenkeelJson(train('run', '--learning-rate', '0.01'));
  });

  it('train bert --json says what it measured, and words are learned', () => {
    expect(result).toMatchObject({ command: 'train bert', device: 'wasm', steps: 30, sequencesPerSecond: expect.any(Number) as number });
    expect(result['valLoss']).toBeLessThan(3.5); // chance among 100 tokens is 4.6
  });

  it("train bert leaves what `transformers` loads as BertForMaskedLM, with its own tokenizer", async () => {
    expect(jsonOf('run/config.json')).toMatchObject({ model_type: 'bert', architectures: ['BertForMaskedLM'], max_position_embeddings: 16, hidden_size: 16 });
    const { tensors } = await readSafetensors(files.at('run/model.safetensors'));
    expect(Object.keys(tensors)).toEqual(expect.arrayContaining(['bert.embeddings.word_embeddings.weight', 'cls.predictions.transform.dense.weight', 'cls.predictions.bias']));
    expect(jsonOf('run/tokenizer.json')).toMatchObject({ model: { type: 'WordPiece' } });
    expect(readdirSync(files.at('run')).sort()).toEqual(['config.json', 'metrics.jsonl', 'model.safetensors', 'report.html', 'run.json', 'state', 'tokenizer.json', 'tokenizer_config.json']);
    expect(readFileSync(files.at('run/report.html'), 'utf8')).toContain('[MASK]');
  });

  it.each([
    ['BERT', ['--dropout', '0.1']],
    ['MosaicBERT', ['--arch', 'mosaic', '--qk-norm', '--sigma-reparam', '--monitor', '5']],
  ])('train bert --resume after kill -9 goes on bit for bit, without the text: %s', async (name, flags) => {
    const args = (out: string) => train(out, '--steps', '60', '--checkpoint-every', '5', '--eval-every', '20', ...flags);
    const [whole, killed] = [`${name}-whole`, `${name}-killed`];
    const expected = await evenkeelJson(args(whole));
    expect(await killAfter(args(killed), files.at(killed), 13)).toBe('SIGKILL');
    rmSync(data);
    const again = await evenkeelJson(['train', 'bert', '--out', files.at(killed), '--resume']);
    files.write('corpus.txt', sentences(120));
    expect(metricsOf(files.at(killed))).toEqual(metricsOf(files.at(whole)));
    expect(readFileSync(files.at(`${killed}/model.safetensors`)).equals(readFileSync(files.at(`${whole}/model.safetensors`)))).toBe(true);
    for (const field of ['trainLoss', 'valLoss']) expect(again[field]).toBe(expected[field]);
  });

  it("train bert saves MosaicBERT in a layout of our own, with plain weights", async () => {
    expect(jsonOf('MosaicBERT-whole/config.json')).toMatchObject({ model_type: 'evenkeel-bert', positions: 'alibi', techniques: { arch: 'mosaic', placement: 'own', qkNorm: true }, head: { kind: 'maskedLm' } });
    const { tensors } = await readSafetensors(files.at('MosaicBERT-whole/model.safetensors'));
    expect(Object.keys(tensors).filter((name) => name.endsWith('gamma'))).toEqual([]);
  });

  it('train bert --sequence paragraph joins lines up to an empty one, and cuts what is longer than the context', async () => {
    const text = files.write('paragraphs.txt', Array.from({ length: 12 }, (_, i) => `the cat sees\nthe moon ${'and a river '.repeat(i % 3)}.\n\n`).join(''));
    const { code, stdout } = await evenkeel(['train', 'bert', '--data', text, ...TINY_BERT, '--sequence', 'paragraph', '--steps', '2', '--out', files.at('paragraphs')]);
    expect(code).toBe(0);
    expect(stdout).toMatch(/\d+ paragraphs of \d+ tokens on average to train, \d+ to validate, vocabulary\s+\d+/);
    expect(Math.max(...stdout.split('\n').filter((line) => !line.startsWith('  ')).map((line) => line.length))).toBeLessThanOrEqual(80);
  });

  it('train bert leaves out special tokens that the text spells out, and refuses a text of nothing else', async () => {
    const args = (text: string, out: string) => ['train', 'bert', '--data', text, ...TINY_BERT, '--tokenizer', files.at('run/tokenizer.json'), '--steps', '1', '--out', files.at(out)].filter((each) => !['--vocab-size', '100'].includes(each));
    const alone = await evenkeel(args(files.write('specials.txt', '[PAD]\n[CLS] [MASK]\n'.repeat(20)), 'specials'));
    expect([alone.code, alone.stderr]).toEqual([2, `error: --data must hold text besides special tokens, got none in ${files.at('specials.txt')}\n`]);
    const mixed = await evenkeel(args(files.write('mixed.txt', '[PAD]\nthe [CLS] cat [SEP]\n'.repeat(20)), 'mixed'));
    expect([mixed.code, mixed.stdout]).toEqual([0, expect.stringMatching(/18 lines of 4 tokens on average to train, 2 to validate/)]);
  });

  it('train bert says what it needs of text, tokenizer and sizes', async () => {
    const refused = async (message: RegExp, ...flags: string[]): Promise<void> => {
      const { code, stderr } = await evenkeel(['train', 'bert', '--data', data, ...TINY_BERT, '--steps', '2', '--out', files.at('refused'), ...flags]);
      expect(stderr).toMatch(/^error: [^\n]+\n$/);
      expect(stderr).toMatch(message);
      expect([1, 2]).toContain(code);
      expect(existsSync(files.at('refused'))).toBe(false);
    };
    await refused(/--data must hold at least the 4 sequences of a batch, got \d to train on/, '--data', files.write('short.txt', 'the cat\nthe dog\nthe moon\n'));
    await refused(/--context must be at least 3/, '--context', '2');
    await refused(/vocabSize must be at least \d+/, '--vocab-size', '20');
    await refused(/--vocab-size must be left out with --tokenizer/, '--tokenizer', files.at('run/tokenizer.json'));
  });
});
