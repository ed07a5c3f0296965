import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { dispose, memory, type Tensor, type Tensor4D } from '@tensorflow/tfjs-core';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { loadStateDict, writeSafetensors } from '@evenkeel/checkpoint';
import { treeEntries, treePaths, type Tree } from '@evenkeel/core-tensor';
import { layerScale, stochasticDepth } from '@evenkeel/layers';
import { loadVit, saveVit, vit, vitConfigFromJson, vitConfigToJson, vitNames, type VitLogits, type VitSizes } from '@evenkeel/models-vit';
import { rmsNormLayer } from '@evenkeel/norms';
import { randomTensor, useBackend } from '@evenkeel/testing';

const golden = (name: string): string => `${import.meta.dirname}/golden/${name}`;
const sizes: VitSizes = { imageSize: 12, patchSize: 4, channels: 2, numClasses: 3, depth: 2, dim: 8, numHeads: 2 };
let directory: string;

beforeAll(async () => { expect(await useBackend('evenkeel-wasm')).toBeUndefined(); });
beforeEach(() => { directory = mkdtempSync(join(tmpdir(), 'evenkeel-vit-')); });
afterEach(() => { rmSync(directory, { recursive: true, force: true }); });

const leaves = async (params: unknown): Promise<[string, number[]][]> =>
  Promise.all(treeEntries<Tensor>(params as Tree<Tensor>).map(async ([path, leaf]) => [path, Array.from(await leaf.data())] as [string, number[]]));

describe.each(['huggingFace', 'timm'] as const)('saveVit and loadVit in the layout %s', (layout) => {
  it('give the same model and parameters, bit for bit', async () => {
    for (const options of [sizes, { ...sizes, distilled: true, hiddenDim: 20 }]) {
      const model = vit({ ...options, branch: stochasticDepth() });
      const params = model.init({ seed: 1 });
      await saveVit(directory, model, params, { layout });
      const loaded = await loadVit(directory);
      expect([loaded.model.config, loaded.layout]).toEqual([model.config, layout]);
      const own = await leaves(params);
      expect(await leaves(loaded.params)).toEqual(own);
    }
    expect(readdirSync(directory).sort()).toEqual(['config.json', 'model.safetensors']);
  });

  it.each(['vit', 'deit'])('write what PyTorch wrote of a %s: the same names, shapes and values', async (name) => {
    const from = golden(`${name}-${layout === 'timm' ? 'timm' : 'hf'}`);
    const { model, params } = await loadVit(from);
    await saveVit(directory, model, params, { layout });
    const [ours, theirs] = await Promise.all([loadStateDict(directory), loadStateDict(from)]);
    expect(Object.keys(ours).sort()).toEqual(Object.keys(theirs).sort());
    for (const [tensor, entry] of Object.entries(theirs)) expect(ours[tensor]).toEqual(entry);
  });

  it('vitNames is a bijection between our paths and theirs', () => {
    for (const distilled of [false, true]) {
      const model = vit({ ...sizes, distilled });
      const names = vitNames(layout, model.config, model.specs);
      expect(names.map(({ path }) => path).sort()).toEqual(treePaths(model.specs).sort());
      const theirs = names.flatMap(({ name }) => name);
      expect(new Set(theirs).size).toBe(theirs.length);
    }
  });
});

describe('loadVit', () => {
  it('reports missing and unexpected names and other shapes in one line', async () => {
    cpSync(golden('vit-hf'), directory, { recursive: true });
    const tensors = { ...(await loadStateDict(directory)) };
    const { 'vit.layernorm.bias': gone, ...rest } = tensors;
    await writeSafetensors(join(directory, 'model.safetensors'), { ...rest, 'vit.layernorm.beta': gone! });
    await expect(loadVit(directory)).rejects.toThrow(/loadVit: .*missing \(1\): "layernorm.bias"; unexpected \(1\): "layernorm.beta"/);
    await writeSafetensors(join(directory, 'model.safetensors'), { ...tensors, 'classifier.bias': { dtype: 'F32', shape: [4], data: new Float32Array(4) } });
    await expect(loadVit(directory)).rejects.toThrow(/"classifier.bias" must have shape \[5\], got \[4\]/);
    await writeSafetensors(join(directory, 'model.safetensors'), Object.fromEntries(Object.entries(tensors).filter(([name]) => !name.includes('layer.1.'))));
    await expect(loadVit(directory)).rejects.toThrow('config.json must have num_hidden_layers 1, as many blocks as the checkpoint holds, got 2');
  });

  it('names a checkpoint of another architecture', async () => {
    cpSync(golden('vit-hf'), directory, { recursive: true });
    const config = JSON.parse(readFileSync(join(directory, 'config.json'), 'utf8')) as Record<string, unknown>;
    const withConfig = async (changed: Record<string, unknown>): Promise<unknown> => {
      writeFileSync(join(directory, 'config.json'), JSON.stringify({ ...config, ...changed }));
      return loadVit(directory);
    };
    await expect(withConfig({ model_type: 'bert' })).rejects.toThrow('config.json must be a ViT or DeiT configuration, got model_type');
    await expect(withConfig({ hidden_act: 'relu' })).rejects.toThrow('hidden_act must be one of gelu');
    await expect(withConfig({ qkv_bias: false })).rejects.toThrow('qkv_bias must be true, got false');
    await expect(withConfig({ patch_size: 0 })).rejects.toThrow('patch_size');
    await expect(withConfig({ model_type: 'deit' })).rejects.toThrow(/missing \(5\): "embeddings.distillation_token", .*unexpected \(2\): .*shapes \(1\): "embeddings.position_embeddings" must have shape \[1, 6, 12\], got \[1, 5, 12\]/);
    expect(() => vitConfigFromJson({ architecture: 'resnet50', num_classes: 3 })).toThrow('architecture must be a vit or deit of size tiny, small, base, large, such as vit_tiny_patch16_224, got resnet50');
    expect(() => vitConfigFromJson({ architecture: 'vit_tiny_patch16_224', num_classes: 3, global_pool: 'avg' })).toThrow('global_pool must be token, got avg');
    expect(() => vitConfigFromJson(null)).toThrow('config.json must be a ViT or DeiT configuration, got a wrong document');
  });

  it('reads sizes from timm\'s names', () => {
    expect(vitConfigFromJson({ architecture: 'vit_base_patch32_384', num_classes: 10 }).config).toMatchObject({ dim: 768, depth: 12, numHeads: 12, patchSize: 32, imageSize: 384, distilled: false });
    expect(vitConfigFromJson({ architecture: 'deit_small_distilled_patch16_224', num_classes: 10 }).config).toMatchObject({ dim: 384, numHeads: 6, distilled: true });
  });

  it('takes techniques that keep the parameters, and names the first that one changes', async () => {
    const { model } = await loadVit(golden('vit-timm'), { techniques: { placement: 'lns' } });
    expect(model.departures).toEqual(['placement']);
    await expect(loadVit(golden('vit-timm'), { techniques: { norm: rmsNormLayer() } })).rejects.toThrow("techniques must keep ViT's parameters, got none called blocks.0.norm1.bias");
  });

  it('gives fresh heads for other classes, also where the checkpoint has none, and keeps the rest', async () => {
    cpSync(golden('deit-hf'), directory, { recursive: true });
    const tensors = await loadStateDict(directory);
    await writeSafetensors(join(directory, 'model.safetensors'), Object.fromEntries(Object.entries(tensors).filter(([name]) => !name.includes('classifier'))));
    const before = memory().numTensors;
    for (const from of [golden('deit-hf'), directory]) {
      const [whole, fresh] = [await loadVit(golden('deit-hf')), await loadVit(from, { numClasses: 7, seed: 4 })];
      expect([fresh.model.config.numClasses, fresh.params.head]).toMatchObject([7, { weight: { shape: [7, 12] }, bias: { shape: [7] } }]);
      const body = (all: [string, number[]][]): [string, number[]][] => all.filter(([path]) => !/head/i.test(path));
      expect(body(await leaves(fresh.params))).toEqual(body(await leaves(whole.params)));
      expect(fresh.model.apply(randomTensor([2, 8, 8, 3]) as Tensor4D, fresh.params).shape).toEqual([2, 7]);
      dispose([whole.params, fresh.params] as never);
    }
    expect(memory().numTensors - before).toBe(4); // the images and logits above
  });
});

describe('saveVit', () => {
  it('writes layer scale in timm\'s layout alone, and it comes back', async () => {
    const model = vit({ ...sizes, branch: stochasticDepth({ branch: layerScale({ init: 0.3 }) }) });
    const params = model.init({ seed: 1 });
    await expect(saveVit(directory, model, params)).rejects.toThrow('vitEntries: model must have the parameters of ViT in the layout huggingFace, got also blocks.0.branch1.weight');
    expect(readdirSync(directory)).toEqual([]);
    await saveVit(directory, model, params, { layout: 'timm' });
    expect((await loadStateDict(directory))['blocks.1.ls2.gamma']).toMatchObject({ shape: [8], data: new Float32Array(8).fill(0.3) });
    const loaded = await loadVit(directory);
    expect(await leaves(loaded.params)).toEqual(await leaves(params));
  });

  it('refuses what a checkpoint cannot say, and writes nothing', async () => {
    const model = vit({ ...sizes, placement: 'lns' });
    const params = model.init({ seed: 1 });
    await expect(saveVit(directory, model, params)).rejects.toThrow("saveVit: model must be ViT's for a checkpoint to say what it computes, got another placement. weightsOnly saves the weights alone.");
    await expect(saveVit(directory, model, params, { layout: 'onnx' as never })).rejects.toThrow('saveVit: layout must be one of huggingFace, timm, got onnx');
    expect(readdirSync(directory)).toEqual([]);
    await saveVit(directory, model, params, { weightsOnly: true, classes: ['a', 'b', 'c'] });
    expect(JSON.parse(readFileSync(join(directory, 'config.json'), 'utf8'))).toMatchObject({ id2label: { 0: 'a', 1: 'b', 2: 'c' }, num_channels: 2, model_type: 'vit' });
    expect(() => vitConfigToJson('huggingFace', model.config, { classes: ['a'] })).toThrow("vitConfigToJson: classes must be 3, as many as the model's, got 1");
    expect(() => vitConfigToJson('timm', vit({ ...sizes, activation: 'silu' }).config)).toThrow("timm's layout must have activation gelu and normEps 1e-6, got silu and 0.000001");
  });
});

/** A Python with PyTorch: the one in the path, or the system's. */
const python = ['python3', '/usr/bin/python3'].find((path) => spawnSync(path, ['-c', 'import torch']).status === 0);

const CASES = [['huggingFace', false], ['huggingFace', true], ['timm', false], ['timm', true]] as const;

describe('directories written by saveVit, in PyTorch', () => {
  it(`load with strict=True and give our logits, of both layouts, with and without distillation${python === undefined ? ' (no PyTorch here: compared with loadVit instead)' : ''}`, async () => {
    const images = randomTensor([2, 12, 12, 2]) as Tensor4D;
    const written = await Promise.all(CASES.map(async ([layout, distilled]) => {
      const model = vit({ ...sizes, distilled });
      const [params, folder] = [model.init({ seed: 5 }), mkdtempSync(join(directory, 'of-'))];
      await saveVit(folder, model, params, { layout });
      return { folder, ...(await read(model.heads(images, params))) };
    }));
    const theirs = python === undefined
      ? await Promise.all(written.map(async ({ folder }) => { const { model, params } = await loadVit(folder); return read(model.heads(images, params)); }))
      : torchLogits({ shape: images.shape, values: Array.from(await images.data()) }, written.map(({ folder }) => folder));
    written.forEach(({ cls, dist }, i) => {
      expect([theirs[i]!.cls.length, dist === null]).toEqual([6, !CASES[i]![1]]);
      cls.forEach((value, k) => expect(value).toBeCloseTo(theirs[i]!.cls[k]!, 5));
      dist?.forEach((value, k) => expect(value).toBeCloseTo(theirs[i]!.dist![k]!, 5));
    });
  });
});

type Read = { cls: number[]; dist: number[] | null };
const read = async ({ cls, dist }: VitLogits): Promise<Read> => ({ cls: Array.from(await cls.data()), dist: dist ? Array.from(await dist.data()) : null });

function torchLogits(images: { shape: number[]; values: number[] }, folders: string[]): Read[] {
  writeFileSync(join(directory, 'images.json'), JSON.stringify(images));
  const script = resolve(import.meta.dirname, '../../../tools/golden/check_vit.py');
  const printed = execFileSync(python as string, [script, join(directory, 'images.json'), ...folders], { encoding: 'utf8' });
  return printed.trim().split('\n').slice(-folders.length).map((line) => JSON.parse(line) as Read);
}
