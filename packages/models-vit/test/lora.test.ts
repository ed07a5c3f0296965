import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { dispose, tensor1d, type Tensor, type Tensor4D } from '@tensorflow/tfjs-core';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { readSafetensors } from '@evenkeel/checkpoint';
import { treeEntries, treeFromEntries, valueAndGrad, type Params, type Tree } from '@evenkeel/core-tensor';
import { foldLora, isAdapter, lora, splitParams } from '@evenkeel/layers';
import { loadVit, loadVitLora, saveVit, saveVitLora, vit, type VitParams } from '@evenkeel/models-vit';
import { adamw, applyUpdates } from '@evenkeel/optimizers';
import { expectClose, randomTensor } from '@evenkeel/testing';

const everywhere = { rank: 2, alpha: 4, targets: ['qkv dim', 'dim heads', 'hidden dim', 'dim hidden'] };
/** A Python with PyTorch: the one in the path, or the system's. */
const python = ['python3', '/usr/bin/python3'].find((path) => spawnSync(path, ['-c', 'import torch']).status === 0);
let directory: string;
beforeEach(() => { directory = mkdtempSync(join(tmpdir(), 'evenkeel-lora-')); });
afterEach(() => { rmSync(directory, { recursive: true, force: true }); });

const golden = (name: string): string => `${import.meta.dirname}/golden/${name}`;

/** A published model with adapters and fresh heads for five classes, of which three steps have trained both. */
async function fineTuned(name: string) {
  const { model, params } = await loadVit(golden(name), { numClasses: 5, techniques: { linear: lora(everywhere) } });
  const { imageSize, channels } = model.config;
  const images = randomTensor([2, imageSize, imageSize, channels], { seed: 3 }) as Tensor4D;
  const { trained, join: whole } = splitParams(params, (path) => isAdapter(path) || /^(head|distillationHead)\./.test(path));
  const optimizer = adamw({ learningRate: 1e-2 });
  const state = optimizer.init(trained);
  const targets = tensor1d([4, 1], 'int32');
  const before = model.apply(images, params);
  for (let step = 0; step < 3; step++) {
    const { value, grads } = valueAndGrad((p) => model.loss({ images, targets }, whole(p as never) as unknown as VitParams), trained);
    const updates = optimizer.update(grads, state, trained);
    applyUpdates(trained, updates);
    dispose([value, grads, updates] as never);
  }
  return { model, params, trained, images, before, join: (leaves: unknown) => whole(leaves as never) as unknown as VitParams };
}

describe.each([['vit-hf', 'vit'], ['deit-hf', 'deit']])('LoRA on a published %s', (name, prefix) => {
  it('loadVit({ techniques: { linear: lora() } }) computes at first what the plain model does, and training changes adapters and heads alone', async () => {
    const plain = await loadVit(golden(name), { numClasses: 5 });
    const { params, images, before, model } = await fineTuned(name);
    await expectClose(before, plain.model.apply(images, plain.params), { rtol: 0, atol: 1e-6 });
    const after = model.apply(images, params);
    expect(Math.max(...(await after.data()).map((x, i) => Math.abs(x - (before.dataSync()[i] as number))))).toBeGreaterThan(1e-3);
    const had = new Map(treeEntries<Tensor>(plain.params as unknown as Tree<Tensor>));
    for (const [path, value] of treeEntries<Tensor>(params as unknown as Tree<Tensor>)) {
      if (!isAdapter(path) && !/^(head|distillationHead)\./.test(path)) await expectClose(value, had.get(path)!, { rtol: 0, atol: 0 });
    }
  });

  it("saveVitLora writes PEFT's names and shapes, and loadVitLora gives the same parameters back", async () => {
    const { model, params, trained, images, join: whole } = await fineTuned(name);
    const { dim, distilled, depth, hiddenDim } = model.config;
    await saveVitLora(directory, model, params, { alpha: 4, base: name });
    const { tensors } = await readSafetensors(join(directory, 'adapter_model.safetensors'));
    const at = (tensor: string) => tensors[`base_model.model.${tensor}`]?.shape;
    expect(at(`${prefix}.encoder.layer.1.attention.attention.key.lora_A.weight`)).toEqual([2, dim]);
    expect(at(`${prefix}.encoder.layer.1.attention.attention.key.lora_B.weight`)).toEqual([dim, 2]);
    expect(at(`${prefix}.encoder.layer.0.attention.output.dense.lora_B.weight`)).toEqual([dim, 2]);
    expect(at(`${prefix}.encoder.layer.0.intermediate.dense.lora_B.weight`)).toEqual([hiddenDim, 2]);
    const heads = distilled ? ['cls_classifier', 'distillation_classifier'] : ['classifier'];
    expect(heads.map((head) => at(`${head}.weight`))).toEqual(heads.map(() => [5, dim]));
    expect(Object.keys(tensors).length).toBe(depth * 6 * 2 + 2 * heads.length);
    const config = JSON.parse(readFileSync(join(directory, 'adapter_config.json'), 'utf8')) as Record<string, unknown>;
    expect(config).toMatchObject({ peft_type: 'LORA', task_type: null, r: 2, lora_alpha: 4, bias: 'none', modules_to_save: heads, base_model_name_or_path: name });
    const targets = new RegExp(`^(?:${config['target_modules'] as string})$`);
    const modules = ['encoder.layer.0.attention.attention.query', 'encoder.layer.1.output.dense', 'encoder.layer.0.layernorm_before', 'embeddings.patch_embeddings.projection'];
    expect(modules.map((module) => targets.test(`${prefix}.${module}`))).toEqual([true, true, false, false]);
    const again = await loadVitLora(directory, model, { alpha: 4 });
    expect(Object.keys(again).sort()).toEqual(Object.keys(trained).sort());
    await expectClose(model.apply(images, whole(again)), model.apply(images, params), { rtol: 0, atol: 0 });
    await expect(loadVitLora(directory, model)).rejects.toThrow('loadVitLora: the model must have rank 2 and alpha 4');
  });

  it('what foldLora folds is a plain model that saveVit writes and that computes the same', async () => {
    const { model, params, images } = await fineTuned(name);
    const plain = vit(model.config);
    const folded = treeFromEntries(plain.specs, Object.entries(foldLora(model.specs, params as unknown as Params, { alpha: 4 }))) as unknown as VitParams;
    await saveVit(directory, plain, folded);
    const loaded = await loadVit(directory);
    await expectClose(loaded.model.apply(images, loaded.params), model.apply(images, params), { rtol: 1e-4, atol: 1e-5 });
  });

  it.skipIf(python === undefined)('what saveVitLora writes has the names and shapes that PEFT gives the wrapped model, and merged in PyTorch our logits', async () => {
    const { model, params, images } = await fineTuned(name);
    await saveVitLora(directory, model, params, { alpha: 4, base: golden(name) });
    writeFileSync(join(directory, 'inputs.json'), JSON.stringify({ shape: images.shape, values: Array.from(await images.data()) }));
    const check = (): string => execFileSync(python as string, [resolve(import.meta.dirname, '../../../tools/golden/check_lora.py'), directory], { encoding: 'utf8', stdio: 'pipe' });
    const theirs = JSON.parse(check()) as Record<'cls' | 'dist', { values: number[] }>;
    const { cls, dist } = model.heads(images, params);
    await expectClose(cls, Float64Array.from(theirs.cls.values), { rtol: 0, atol: 1e-5 });
    if (dist) await expectClose(dist, Float64Array.from(theirs.dist.values), { rtol: 0, atol: 1e-5 });
    const config = readFileSync(join(directory, 'adapter_config.json'), 'utf8');
    writeFileSync(join(directory, 'adapter_config.json'), config.replace(/("target_modules": ".*)\|[^|"]*"/, '$1"'));
    expect(check).toThrow(/check_lora: expected \[\], got \[.*output\.dense\.lora_A\.weight/);
  });
});

describe('saveVitLora', () => {
  it('names a model without adapters', async () => {
    const { model, params } = await loadVit(golden('vit-hf'));
    await expect(saveVitLora(directory, model, params)).rejects.toThrow('saveVitLora: model must have adapters, as of a model with linear: lora(), got none');
  });
});
