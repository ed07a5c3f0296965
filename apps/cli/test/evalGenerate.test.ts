import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, it } from 'vitest';
import { evenkeel, evenkeelJson, scratch, sentences, TINY } from './support/evenkeel.ts';

const files = scratch();
const text = sentences();
const data = files.write('corpus.txt', text);
const run = files.at('run');
const wasm = ['--device', 'wasm'];
let trained: Record<string, unknown>;

beforeAll(async () => {
  trained = await evenkeelJson(['train', 'gpt', '--data', data, ...TINY, '--steps', '60', '--out', run]);
});

describe('evenkeel eval', () => {
  const golden = fileURLToPath(new URL('../../../packages/models-gpt/test/golden/gpt2-tiny', import.meta.url));
  const { tokens, loss: expected } = JSON.parse(readFileSync(`${golden}.json`, 'utf8')) as { tokens: number[][]; loss: number };

  it.each(['wasm', 'cpu'])("eval --tokens of a directory that PyTorch wrote gives PyTorch's loss on %s", async (device) => {
    const result = await evenkeelJson(['eval', '--checkpoint', golden, '--tokens', files.write('tokens.json', JSON.stringify(tokens)), '--device', device]);
    expect(result).toMatchObject({ command: 'eval', device, tokens: 30 });
    expect(Math.abs((result['loss'] as number) - expected)).toBeLessThan(1e-5);
    expect(result['perplexity']).toBe(Math.exp(result['loss'] as number));
  });

  it('eval --data counts every token but the first once', async () => {
    const { tokens: count } = await evenkeelJson(['eval', '--checkpoint', run, '--data', data, ...wasm]);
    expect(count).toBe(text.length - 1);
  });

  it('eval --data of the validation part is the valLoss that training ended with', async () => {
    const part = text.slice(Math.floor(text.length * 0.9));
    const { loss } = await evenkeelJson(['eval', '--checkpoint', run, '--data', files.write('val.txt', part), ...wasm, '--batch-size', '3']);
    expect(loss).toBe(trained['valLoss']);
  });

  it('eval for people prints loss and perplexity', async () => {
    const { code, stdout } = await evenkeel(['eval', '--checkpoint', run, '--data', data, ...wasm]);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^device wasm: [^]*\nloss \d\.\d{4} nats per token, perplexity \d+\.\d{3}, over [\d,]+ tokens\n$/);
  });
});

describe('evenkeel generate', () => {
  const generate = (...flags: string[]) => ['generate', '--checkpoint', run, '--prompt', 'the cat', ...wasm, ...flags];

  it('generate --json gives a text of --max-tokens tokens and the speed', async () => {
    const result = await evenkeelJson(generate('--max-tokens', '20'));
    expect(result).toMatchObject({ command: 'generate', device: 'wasm', prompt: 'the cat', tokens: 20 });
    expect(result['text']).toHaveLength(20);
    expect(result['tokensPerSecond']).toBeGreaterThan(0);
  });

  it('generate with the same seed gives the same text, with another seed another', async () => {
    const texts = await Promise.all(['1', '1', '2'].map(async (seed) => (await evenkeelJson(generate('--max-tokens', '40', '--seed', seed)))['text']));
    expect(texts[1]).toBe(texts[0]);
    expect(texts[2]).not.toBe(texts[0]);
  });

  it('generate --temperature 0, --top-k 1 and a tiny --top-p all take the likeliest token', async () => {
    const ways = [['--temperature', '0'], ['--top-k', '1'], ['--top-p', '1e-9']];
    const texts = await Promise.all(ways.map(async (flags) => (await evenkeelJson(generate('--max-tokens', '15', ...flags)))['text']));
    expect(texts[1]).toBe(texts[0]);
    expect(texts[2]).toBe(texts[0]);
  });

  it('generate for people prints prompt and text on standard output, the rest on standard error', async () => {
    const { code, stdout, stderr } = await evenkeel(generate('--max-tokens', '12'));
    expect(code).toBe(0);
    expect(stdout).toMatch(/^the cat[^]{12}\n$/);
    expect(stderr).toMatch(/^device wasm: [^]*\n12 tokens, [\d.]+ tokens\/s\n$/);
  });

  it('generate goes on when the prompt is longer than the context', async () => {
    const { text: continued } = await evenkeelJson(['generate', '--checkpoint', run, '--prompt', text.slice(0, 50), '--max-tokens', '20', ...wasm]);
    expect(continued).toHaveLength(20);
  });
});
