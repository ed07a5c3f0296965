import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { beforeAll, describe, expect, it } from 'vitest';
import { readSafetensors } from '@evenkeel/checkpoint';
import { evenkeel, evenkeelJson, metricsOf, scratch, sentences, TINY } from './support/evenkeel.ts';

const files = scratch();
const data = files.write('corpus.txt', sentences());
const train = (out: string, ...flags: string[]) => ['train', 'gpt', '--data', data, ...TINY, '--steps', '12', '--out', files.at(out), ...flags];

describe('evenkeel train gpt', () => {
  let result: Record<string, unknown>;
  beforeAll(async () => {
    result = await evenkeelJson(train('run', '--eval-every', '5', '--checkpoint-every', '4'));
  });

  it('train gpt --json gives every field that other tools read', () => {
    const { msPerStep, ...rest } = result;
    expect(rest).toEqual({
      command: 'train gpt', device: 'wasm', params: expect.any(Number) as number, steps: 12, trainLoss: expect.any(Number) as number, valLoss: expect.any(Number) as number,
      tokensPerSecond: expect.any(Number) as number, peakBytes: expect.any(Number) as number, checkpoint: files.at('run'),
    });
    const { median, p10, p90 } = msPerStep as Record<string, number>;
    expect(p10).toBeGreaterThan(0);
    expect(median).toBeGreaterThanOrEqual(p10 as number);
    expect(p90).toBeGreaterThanOrEqual(median as number);
    expect(result['valLoss']).toBeLessThan(Math.log(27));
  });

  it('train gpt counts the parameters that its file holds', async () => {
    const { tensors } = await readSafetensors(files.at('run/model.safetensors'));
    const sizes = Object.values(tensors).map(({ shape }) => shape.reduce((product, size) => product * size, 1));
    expect(result['params']).toBe(sizes.reduce((sum, size) => sum + size, 0));
    expect(Object.keys(tensors)).toEqual(expect.arrayContaining(['transformer.wte.weight', 'transformer.h.0.attn.c_attn.weight', 'transformer.ln_f.bias']));
  });

  it('train gpt leaves configuration, weights, tokenizer, state, metrics and report, and nothing half-written', () => {
    expect(readdirSync(files.at('run')).sort()).toEqual([
      'config.json', 'metrics.jsonl', 'model.safetensors', 'report.html', 'run.json', 'state', 'tokenizer.json', 'tokenizer_config.json']);
    const config = JSON.parse(readFileSync(files.at('run/config.json'), 'utf8')) as Record<string, unknown>;
    expect(config).toMatchObject({ model_type: 'gpt2', n_layer: 1, n_embd: 16, n_head: 2, n_positions: 8 });
  });

  it('train gpt writes a line of metrics per step and per evaluation', () => {
    const metrics = metricsOf(files.at('run'));
    expect(metrics.filter(({ kind }) => kind === 'step').map(({ step }) => step)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
    expect(metrics.filter(({ kind }) => kind === 'eval').map(({ step }) => step)).toEqual([5, 10, 12]);
    expect(metrics[0]).toMatchObject({ learningRate: 5e-4, loss: expect.any(Number) as number, gradNorm: expect.any(Number) as number });
  });

  it('train gpt writes a report that needs no network', () => {
    const report = readFileSync(files.at('run/report.html'), 'utf8');
    expect(report).toContain('<svg');
    expect(report).not.toMatch(/(src|href)="https?:|@import|url\(http/);
  });

  it('train gpt with the same seed is the same run, bit for bit, and with another seed another', async () => {
    await Promise.all([evenkeelJson(train('again', '--eval-every', '5')), evenkeelJson(train('other', '--eval-every', '5', '--seed', '2'))]);
    expect(metricsOf(files.at('again'))).toEqual(metricsOf(files.at('run')));
    expect(readFileSync(files.at('again/model.safetensors')).equals(readFileSync(files.at('run/model.safetensors')))).toBe(true);
    expect(metricsOf(files.at('other'))).not.toEqual(metricsOf(files.at('run')));
  });

  it('train gpt --out refuses a directory that holds a run, and leaves it as it was', async () => {
    const before = readFileSync(files.at('run/metrics.jsonl'));
    const { code, stderr } = await evenkeel(train('run'));
    expect(code).toBe(2);
    expect(stderr).toBe(`error: --out must be a new or empty directory, got ${files.at('run')}, which holds files; --resume goes on with the run in it\n`);
    expect(readFileSync(files.at('run/metrics.jsonl')).equals(before)).toBe(true);
  });

  it('train gpt for people shows device, data, progress, a sample and where the files are, in 80 columns', async () => {
    const { code, stdout, stderr } = await evenkeel(['train', '--data', 'corpus.txt', ...TINY, '--steps', '3', '--out', 'short'], { cwd: files.path });
    expect(code).toBe(0);
    expect(stderr).toBe('');
    for (const part of ['device wasm: WebAssembly', 'step 3/3  loss', 'validation loss', 'Sample', 'report           short/report.html', 'checkpoint       short']) expect(stdout).toContain(part);
    expect(Math.max(...stdout.split('\n').filter((line) => !line.startsWith('  ')).map((line) => line.length))).toBeLessThanOrEqual(80);
  });

  it('train gpt --tokenizer bpe learns a tokenizer, which the run and another run can use', async () => {
    await evenkeelJson(train('bpe', '--tokenizer', 'bpe', '--vocab-size', '280', '--steps', '2'));
    expect(JSON.parse(readFileSync(files.at('bpe/config.json'), 'utf8'))).toMatchObject({ vocab_size: 280 });
    const again = await evenkeelJson(train('path', '--tokenizer', files.at('bpe/tokenizer.json'), '--steps', '2'));
    expect(metricsOf(files.at('path'))).toEqual(metricsOf(files.at('bpe')));
    expect(again['valLoss']).toBeTypeOf('number');
  });

  it('train gpt --val-fraction 0 --schedule wsd --clip 0 --dropout 0.1 trains without validation', async () => {
    const { valLoss } = await evenkeelJson(train('plain', '--val-fraction', '0', '--schedule', 'wsd', '--clip', '0', '--dropout', '0.1'));
    expect(valLoss).toBeNull();
    expect(metricsOf(files.at('plain')).every(({ kind }) => kind === 'step')).toBe(true);
  });

  it('train without data learns from the text that every installation has', async () => {
    const { valLoss } = await evenkeelJson(['train', ...TINY, '--steps', '2', '--out', files.at('default')]);
    expect(valLoss).toBeTypeOf('number');
    expect(existsSync(files.at('default/report.html'))).toBe(true);
  });

  it('train gpt --data . into a run directory below it reads the text alone', async () => {
    files.write('book/corpus.txt', sentences());
    const dot = await evenkeel(['train', '--data', '.', ...TINY, '--steps', '2', '--out', 'runs/one'], { cwd: files.at('book') });
    expect(dot).toMatchObject({ code: 0, stderr: '' });
    await evenkeelJson(train('alone', '--steps', '2'));
    expect(metricsOf(files.at('book/runs/one'))).toEqual(metricsOf(files.at('alone')));
    expect(readdirSync(files.at('book/runs/one')).filter((name) => name.startsWith('.'))).toEqual([]);
  });
});
