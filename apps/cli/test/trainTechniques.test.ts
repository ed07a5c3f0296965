import { cpSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { beforeAll, describe, expect, it } from 'vitest';
import { openSafetensors, readSafetensors } from '@evenkeel/checkpoint';
import { loadModel } from '../src/gpt/savedModel.ts';
import { evenkeel, evenkeelJson, launch, metricsOf, scratch, sentences, TINY } from './support/evenkeel.ts';

const files = scratch();
const text = sentences();
const data = files.write('corpus.txt', text);
/** The validation part: every character is a token. */
const validation = files.write('validation.txt', text.slice(-Math.floor(text.length / 10)));
const STEPS = ['--steps', '20', '--eval-every', '10', '--checkpoint-every', '4'];
const OURS = ['--placement', 'peri', '--norm', 'rms', '--qk-norm', '--sigma-reparam', '--z-loss', '1e-3', '--untied-head', '--optimizer', 'muon', '--mup', '8', '--monitor', '5'];
const train = (out: string, ...flags: string[]) => ['train', 'gpt', '--data', data, ...TINY, ...STEPS, '--out', files.at(out), ...flags];
const configOf = (out: string) => JSON.parse(readFileSync(files.at(`${out}/config.json`), 'utf8')) as Record<string, unknown>;
const lossOf = async (out: string) => (await evenkeelJson(['eval', '--checkpoint', files.at(out), '--data', validation, '--device', 'wasm']))['loss'] as number;

describe('evenkeel train gpt with techniques', () => {
  let ours: Record<string, unknown>;
  let folded: Record<string, unknown>;
  beforeAll(async () => {
    [ours, folded] = await Promise.all([evenkeelJson(train('ours', ...OURS)), evenkeelJson(train('folded', '--sigma-reparam', 'spectral', '--untied-head'))]);
  });

  it('train gpt saves a model that GPT-2 cannot say with its techniques, as a type and a format that other programs refuse', async () => {
    expect(configOf('ours')).toEqual({
      model_type: 'evenkeel-gpt', format: 1, vocabSize: 20, contextLength: 8, depth: 1, dim: 16, numHeads: 2, numKvHeads: 2, hiddenDim: 64, activation: 'geluTanh', dropout: 0,
      bias: true, normEps: 1e-5, tiedHead: false, logitScale: 1, techniques: { placement: 'peri', norm: 'rms', qkNorm: true },
    });
    const file = await openSafetensors(files.at('ours/model.safetensors'));
    expect(file.metadata).toEqual({ format: 'evenkeel-gpt' });
    expect(file.names).toEqual(expect.arrayContaining(['tokenEmbedding.weight', 'blocks.0.attn.qkv.weight', 'blocks.0.norm1Out.weight', 'head.weight']));
    expect(file.names.filter((name) => /gamma|transformer\./.test(name))).toEqual([]);
    await file.close();
  });

  it('eval and generate load that model: its loss is the one that training measured', async () => {
    expect(await lossOf('ours')).toBeCloseTo(ours['valLoss'] as number, 5);
    const { text: drawn } = await evenkeelJson(['generate', '--checkpoint', files.at('ours'), '--prompt', 'the', '--max-tokens', '5', '--device', 'wasm']);
    expect(drawn).toHaveLength(5);
  });

  it('train gpt --sigma-reparam saves plain weights in the layout of GPT-2, which compute the same', async () => {
    expect(configOf('folded')).toMatchObject({ model_type: 'gpt2', tie_word_embeddings: false });
    const { tensors, metadata } = await readSafetensors(files.at('folded/model.safetensors'));
    expect(metadata).toEqual({ format: 'pt' });
    expect(Object.keys(tensors)).toContain('transformer.h.0.mlp.c_fc.weight');
    expect(Object.keys(tensors).some((name) => name.includes('gamma'))).toBe(false);
    const state = await openSafetensors(files.at('folded/state/step-00000020.safetensors'));
    expect(state.names).toEqual(expect.arrayContaining(['params.blocks.0.attn.qkv.gamma', 'params.head.gamma', 'state.head.u'])); // a head of its own, too
    await state.close();
    expect(await lossOf('folded')).toBeCloseTo(folded['valLoss'] as number, 5);
  });

  it('train gpt --monitor keeps readings in the metrics and draws them in the report', () => {
    const readings = metricsOf(files.at('ours')).filter(({ kind }) => kind === 'monitor');
    expect(readings.map(({ step }) => step)).toEqual([1, 5, 10, 15, 20]);
    expect(Object.keys(readings[0]?.['values'] as object)).toEqual(expect.arrayContaining(['blocks.0.attn.entropy', 'blocks.0.attn.maxLogit', 'logits.logPartition']));
    const report = readFileSync(files.at('ours/report.html'), 'utf8');
    for (const part of ['What the monitor found', 'Attention entropy', 'Largest attention logit', 'sigmaReparam']) expect(report).toContain(part);
  });

  it('train gpt --resume after kill -9 keeps techniques and readings, bit for bit', async () => {
    const { child, outcome } = launch(train('killed', ...OURS));
    while (!existsSync(files.at('killed/state/step-00000008.safetensors')) && child.exitCode === null) await sleep(2);
    child.kill('SIGKILL');
    expect((await outcome).signal).toBe('SIGKILL');
    const resumed = await evenkeelJson(['train', '--resume', '--out', files.at('killed'), '--qk-norm', '--sigma-reparam']);
    expect(metricsOf(files.at('killed'))).toEqual(metricsOf(files.at('ours')));
    expect(readFileSync(files.at('killed/model.safetensors')).equals(readFileSync(files.at('ours/model.safetensors')))).toBe(true);
    expect(resumed).toMatchObject({ valLoss: ours['valLoss'], trainLoss: ours['trainLoss'] });
  });

  it('train gpt --resume refuses techniques that the run does not have', async () => {
    const { code, stderr } = await evenkeel(['train', '--resume', '--out', files.at('ours'), '--placement', 'post', '--sigma-reparam', 'spectral']);
    expect(code).toBe(2);
    expect(stderr).toBe('error: --resume must keep what decides the run, got --placement post (the run has peri), --sigma-reparam spectral (the run has one).\n');
  });

  it('train gpt says its techniques, and what the monitor finds in a run that breaks down, in 80 columns', async () => {
    const { code, stdout } = await evenkeel([
      'train', '--data', 'corpus.txt', ...TINY, '--steps', '30', '--learning-rate', '3', '--warmup', '3', '--clip', '0', '--monitor', '1', '--placement', 'post', '--out', 'broken'], { cwd: files.path });
    expect(code).toBe(0);
    expect(stdout).toContain('\nwith   --placement post\n');
    expect(stdout).toMatch(/^monitor {2}The loss jumped to/m);
    expect(Math.max(...stdout.split('\n').map((line) => line.length))).toBeLessThanOrEqual(80);
  });

  it.each([
    ['another format', '"format": 1', '"format": 2', /config\.json must have format 1, got 2\. Was it written by a newer release\?/],
    ['a technique that is not known', '"qkNorm": true', '"qkNorm": true, "heads": "odd"', /config\.json must have no techniques\.heads, which this release does not know, got "odd"/],
    ['no placement', '"placement": "peri",', '', /config\.json must be the configuration of a model, got nothing for techniques\.placement/],
    ['a size that is text', '"dim": 16', '"dim": "wide"', /got "wide" for dim/],
    ['more blocks than there are', '"depth": 1', '"depth": 1000000000', /must have depth 1, as many blocks as the checkpoint holds, got 1000000000/],
    ['another norm', '"norm": "rms"', '"norm": "layer"', /the checkpoint must hold the model's \d+ tensors, got missing \(\d+\): .*bias/],
  ])('loadModel of a config.json with %s names it', async (name, from, to, message) => {
    cpSync(files.at('ours'), files.at(name), { recursive: true });
    const config = readFileSync(files.at(`${name}/config.json`), 'utf8');
    expect(config).toContain(from);
    writeFileSync(files.at(`${name}/config.json`), config.replace(from, to));
    await expect(loadModel(files.at(name))).rejects.toThrow(message);
  });
});

describe('a run from before there were techniques', () => {
  it('train gpt --resume of it goes on: its state says nothing of what is as it was, and its record may lack it', async () => {
    const later = ['placement', 'norm', 'qkNorm', 'sigmaReparam', 'zLoss', 'untiedHead', 'optimizer', 'weightDecayMode', 'mup', 'monitor'];
    const constant = ['--schedule', 'constant', '--warmup', '1', '--steps'];
    await Promise.all([evenkeelJson(train('old', ...constant, '8')), evenkeelJson(train('whole', ...constant, '12'))]);
    const record = JSON.parse(readFileSync(files.at('old/run.json'), 'utf8')) as { settings: Record<string, unknown> };
    for (const name of later) {
      expect(record.settings).toHaveProperty(name);
      delete record.settings[name];
    }
    writeFileSync(files.at('old/run.json'), JSON.stringify(record));
    const { metadata } = await readSafetensors(files.at('old/state/step-00000008.safetensors'));
    const { config } = JSON.parse(metadata['evenkeel.training'] as string) as { config: object };
    expect(Object.keys(config).filter((name) => later.includes(name))).toEqual([]);
    await evenkeelJson(['train', '--resume', '--out', files.at('old'), '--steps', '12']);
    expect(metricsOf(files.at('old')).filter(({ kind }) => kind === 'step')).toEqual(metricsOf(files.at('whole')).filter(({ kind }) => kind === 'step'));
  });
});
