import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { dispose, memory, tensor2d, type Tensor, type Tensor2D } from '@tensorflow/tfjs-core';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { loadStateDict, writeSafetensors } from '@evenkeel/checkpoint';
import { treeEntries, type AttentionFn, type Tree } from '@evenkeel/core-tensor';
import { flashAttention } from '@evenkeel/flash-attention';
import { linearLayer, mlpLayer, type Placement } from '@evenkeel/layers';
import { configFromHuggingFace, configToHuggingFace, gpt, gpt2Names, gptConfig, loadGpt, saveGpt, type GptSizes, type GptTechniques } from '@evenkeel/models-gpt';
import { qkNorm, rmsNormLayer } from '@evenkeel/norms';
import { useBackend } from '@evenkeel/testing';

const golden = `${import.meta.dirname}/golden/gpt2-tiny`;
const sizes = { vocabSize: 65, contextLength: 32, depth: 2, dim: 16, numHeads: 2 };
let directory: string;

beforeAll(async () => { expect(await useBackend('evenkeel-wasm')).toBeUndefined(); });
beforeEach(() => { directory = mkdtempSync(join(tmpdir(), 'evenkeel-gpt-')); });
afterEach(() => { rmSync(directory, { recursive: true, force: true }); });

const leaves = async (params: unknown): Promise<[string, number[]][]> =>
  Promise.all(treeEntries<Tensor>(params as Tree<Tensor>).map(async ([path, leaf]) => [path, Array.from(await leaf.data())] as [string, number[]]));

describe('saveGpt and loadGpt', () => {
  it('saveGpt then loadGpt gives the same parameters, bit for bit', async () => {
    for (const options of [sizes, { ...sizes, tiedHead: false, hiddenDim: 24, activation: 'gelu', dropout: 0.1 } as const]) {
      const model = gpt(options);
      const params = model.init({ seed: 1 });
      await saveGpt(directory, model, params);
      const loaded = await loadGpt(directory);
      expect(loaded.model.config).toEqual(model.config);
      expect(await leaves(loaded.params)).toEqual(await leaves(params));
    }
    expect(readdirSync(directory).sort()).toEqual(['config.json', 'model.safetensors']);
  });

  it('saveGpt writes what PyTorch wrote: the same names, shapes and values', async () => {
    const { model, params } = await loadGpt(golden);
    await saveGpt(directory, model, params);
    const [ours, theirs] = await Promise.all([loadStateDict(directory), loadStateDict(golden)]);
    const weights = Object.entries(theirs).filter(([name]) => !/\.attn\.(masked_)?bias$/.test(name) && name !== 'lm_head.weight');
    expect(Object.keys(ours).sort()).toEqual(weights.map(([name]) => name).sort());
    for (const [name, entry] of weights) expect(ours[name]).toEqual(entry);
  });

  it('gpt2Names is a bijection between our paths and GPT-2\'s names', () => {
    const names = gpt2Names(gptConfig({ ...sizes, tiedHead: false }));
    expect(new Set(names.map(({ path }) => path)).size).toBe(names.length);
    expect(new Set(names.map(({ name }) => name)).size).toBe(names.length);
    expect(names.map(({ path }) => path).sort()).toEqual(treeEntries(gpt({ ...sizes, tiedHead: false }).specs).map(([path]) => path).sort());
  });

  it('saveGpt leaks no tensors, nor does a loadGpt that fails', async () => {
    const model = gpt(sizes);
    const params = model.init({ seed: 1 });
    const before = memory().numTensors;
    await saveGpt(directory, model, params);
    const entries = { ...(await loadStateDict(directory)) };
    delete entries['transformer.ln_f.bias'];
    await writeSafetensors(join(directory, 'model.safetensors'), entries);
    await expect(loadGpt(directory)).rejects.toThrow(/missing \(1\): "ln_f\.bias"/);
    expect(memory().numTensors).toBe(before);
  });

  it('saveGpt refuses a model that GPT-2\'s layout cannot describe, and writes nothing', async () => {
    const windowed: AttentionFn = (q, k, v, call) => flashAttention(q, k, v, { ...call, window: [4, 0] });
    const techniques: [string, GptTechniques & Partial<GptSizes>][] = [
      ['placement', { placement: 'post' }], ['attention', { attention: windowed }], ['mlp', { mlp: mlpLayer({ activation: 'silu' }) }],
      ['mlp', { mlp: mlpLayer({ hiddenDim: 16 }) }], ['norm', { norm: rmsNormLayer() }], ['linear', { linear: linearLayer({ bias: false }) }],
      ['logitScale', { logitScale: 2 }], ['qkNorm', { qkNorm: qkNorm() }], ['embeddingNorm', { embeddingNorm: rmsNormLayer() }],
      ['head', { head: linearLayer(), tiedHead: false }],
      ...(['peri', 'output', 'lns', 'deepnorm', 'none', { input: true, final: true }] as Placement[]).map((placement) => ['placement', { placement }] as [string, GptTechniques]),
    ];
    for (const [name, technique] of techniques) {
      const model = gpt({ ...sizes, ...technique });
      await expect(saveGpt(directory, model, model.init({ seed: 1 }))).rejects.toThrow(new RegExp(`saveGpt: model must be GPT-2's .* got another ${name}`));
    }
    const other = gpt({ ...sizes, mlp: mlpLayer({ hiddenDim: 16 }) });
    await expect(saveGpt(directory, other, other.init({ seed: 1 }), { weightsOnly: true })).rejects.toThrow(/mlp\.up\.weight must have shape \[64, 16\] in GPT-2's layout, got \[16, 16\]/);
    const bare = gpt({ ...sizes, norm: rmsNormLayer() });
    await expect(saveGpt(directory, bare, bare.init({ seed: 1 }), { weightsOnly: true })).rejects.toThrow(/norm1\.bias must have shape \[16\] .* got \[none\]/);
    const named = gpt({ ...sizes, qkNorm: qkNorm() });
    await expect(saveGpt(directory, named, named.init({ seed: 1 }), { weightsOnly: true })).rejects.toThrow("gptEntries: params must be the 28 tensors of GPT-2's layout, got 32");
    const post = gpt({ ...sizes, placement: 'post' });
    await expect(saveGpt(directory, post, post.init({ seed: 1 }), { weightsOnly: true })).rejects.toThrow(/norm\.weight must have shape \[16\] .* got \[none\]/);
    expect(readdirSync(directory)).toEqual([]);
    const model = gpt({ ...sizes, attention: windowed });
    await saveGpt(directory, model, model.init({ seed: 1 }), { weightsOnly: true });
    expect(readdirSync(directory).sort()).toEqual(['config.json', 'model.safetensors']);
  });

  it('loadGpt takes techniques that have GPT-2\'s parameters, and names the first parameter of one that has not', async () => {
    const where = `loadGpt: ${golden}: techniques must keep GPT-2's parameters, got`;
    const refused: [GptTechniques, string][] = [
      [{ placement: 'peri' }, 'also blocks.0.norm1Out.weight'], [{ placement: 'post' }, 'none called norm.weight'], [{ qkNorm: qkNorm() }, 'also blocks.0.attn.qNorm.weight'],
      [{ norm: rmsNormLayer() }, 'none called blocks.0.norm1.bias'], [{ embeddingNorm: rmsNormLayer() }, 'also embeddingNorm.weight'],
    ];
    for (const [techniques, what] of refused) await expect(loadGpt(golden, techniques)).rejects.toThrow(`${where} ${what}`);
    const { model, params } = await loadGpt(golden, { placement: 'lns' });
    expect(model.departures).toEqual(['placement']);
    dispose(params as never);
  });

  it('loadGpt refuses a config.json that claims another number of blocks, at once', async () => {
    cpSync(golden, directory, { recursive: true });
    const config = JSON.parse(readFileSync(join(directory, 'config.json'), 'utf8')) as Record<string, unknown>;
    for (const layers of [1, 3, 1_000_000_000]) {
      writeFileSync(join(directory, 'config.json'), JSON.stringify({ ...config, n_layer: layers }));
      await expect(loadGpt(directory)).rejects.toThrow(`config.json must have n_layer 2, as many blocks as the checkpoint holds, got ${layers}`);
    }
  });

  it('loadGpt names what is wrong: no directory, no config, other shapes, damaged files', async () => {
    await expect(loadGpt(join(directory, 'nowhere'))).rejects.toThrow('nowhere');
    cpSync(golden, directory, { recursive: true });
    const config = JSON.parse(readFileSync(join(directory, 'config.json'), 'utf8')) as Record<string, unknown>;
    writeFileSync(join(directory, 'config.json'), JSON.stringify({ ...config, n_embd: 32 }));
    await expect(loadGpt(directory)).rejects.toThrow(/"wte\.weight" must have shape \[65, 32\], got \[65, 16\]/);
    writeFileSync(join(directory, 'config.json'), '{ "n_embd": ');
    await expect(loadGpt(directory)).rejects.toThrow(/config\.json must be JSON/);
    writeFileSync(join(directory, 'config.json'), JSON.stringify(config));
    const bytes = readFileSync(join(directory, 'model.safetensors'));
    writeFileSync(join(directory, 'model.safetensors'), bytes.subarray(0, bytes.length - 5));
    await expect(loadGpt(directory)).rejects.toThrow('model.safetensors');
  });

  it('configFromHuggingFace names the field that is missing or unsupported', () => {
    const config = configToHuggingFace(gptConfig(sizes));
    const without = (key: string) => Object.fromEntries(Object.entries(config).filter(([name]) => name !== key));
    expect(() => configFromHuggingFace(without('n_layer'))).toThrow('n_layer');
    expect(() => configFromHuggingFace({ ...config, n_head: -1 })).toThrow('n_head');
    expect(() => configFromHuggingFace({ ...config, activation_function: 'tanh' })).toThrow('activation_function must be one of');
    expect(() => configFromHuggingFace({ ...config, activation_function: 'constructor' })).toThrow('activation_function must be one of');
    expect(() => configFromHuggingFace({ ...config, scale_attn_by_inverse_layer_idx: true })).toThrow('attention must be scaled');
    expect(() => configFromHuggingFace({ ...config, model_type: 'bert' })).toThrow('model_type');
    expect(() => configFromHuggingFace(null)).toThrow('config.json must be a GPT-2 configuration');
    expect(() => configToHuggingFace(gptConfig({ ...sizes, bias: false }))).toThrow('must have biases');
  });
});

/** A Python with PyTorch: the one in the path, or the system's. */
const python = ['python3', '/usr/bin/python3'].find((path) => spawnSync(path, ['-c', 'import torch']).status === 0);
const hasTorch = python !== undefined;

describe('a directory written by saveGpt, in PyTorch', () => {
  it(`loads by name with nothing missing and gives our loss${hasTorch ? '' : ' (no PyTorch here: compared with the golden loss instead)'}`, async () => {
    const rows = (JSON.parse(readFileSync(`${golden}.json`, 'utf8')) as { tokens: number[][]; loss: number });
    const { model, params } = hasTorch ? { model: gpt(sizes), params: gpt(sizes).init({ seed: 9 }) } : await loadGpt(golden);
    await saveGpt(directory, model, params);
    const ids = (part: number[][]): Tensor2D => tensor2d(part, [part.length, part[0]!.length], 'int32');
    const again = await loadGpt(directory);
    const batch = { inputs: ids(rows.tokens.map((row) => row.slice(0, -1))), targets: ids(rows.tokens.map((row) => row.slice(1))) };
    const ours = (await again.model.loss(batch, again.params).data())[0]!;
    expect(Math.abs(ours / (hasTorch ? torchLoss(rows.tokens) : rows.loss) - 1)).toBeLessThan(1e-5);
  });
});

function torchLoss(tokens: number[][]): number {
  writeFileSync(join(directory, 'tokens.json'), JSON.stringify(tokens));
  const script = resolve(import.meta.dirname, '../../../tools/golden/check_gpt.py');
  const printed = execFileSync(python as string, [script, directory, join(directory, 'tokens.json')], { encoding: 'utf8' });
  return (JSON.parse(printed.trim().split('\n').at(-1)!) as { loss: number }).loss;
}
