import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { dispose, tensor1d, tensor2d, type Tensor } from '@tensorflow/tfjs-core';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { readSafetensors } from '@evenkeel/checkpoint';
import { treeEntries, treeFromEntries, valueAndGrad, type Params, type Tree } from '@evenkeel/core-tensor';
import { foldLora, isAdapter, lora, splitParams } from '@evenkeel/layers';
import { bert, bertWithHead, classificationHead, loadBert, loadLora, maskedLmHead, saveBert, saveLora, type HeadedParams } from '@evenkeel/models-bert';
import { adamw, applyUpdates } from '@evenkeel/optimizers';
import { expectClose } from '@evenkeel/testing';

const folder = `${import.meta.dirname}/golden/bert-tiny`;
const head = classificationHead({ numClasses: 3 });
const everywhere = { rank: 2, alpha: 4, targets: ['qkv dim', 'dim heads', 'hidden dim', 'dim hidden'] };
const inputs = { ids: tensor2d([[5, 7, 2], [9, 2, 0]], [2, 3], 'int32'), mask: tensor2d([[1, 1, 1], [1, 1, 0]], [2, 3], 'int32') };
const batch = { ...inputs, labels: tensor1d([2, 0], 'int32') };
/** A Python with PyTorch: the one in the path, or the system's. */
const python = ['python3', '/usr/bin/python3'].find((path) => spawnSync(path, ['-c', 'import torch']).status === 0);
let directory: string;
beforeEach(() => { directory = mkdtempSync(join(tmpdir(), 'evenkeel-lora-')); });
afterEach(() => { rmSync(directory, { recursive: true, force: true }); });

/** A published model with adapters, of which three steps have trained adapters and head. */
async function fineTuned() {
  const { model, params } = await loadBert(folder, head, { techniques: { linear: lora(everywhere), dropout: 0 } });
  const { trained, join: whole } = splitParams(params, (path) => isAdapter(path) || path.startsWith('head.'));
  const optimizer = adamw({ learningRate: 1e-2 });
  const state = optimizer.init(trained);
  for (let step = 0; step < 3; step++) {
    const { value, grads } = valueAndGrad((p) => model.loss(batch, whole(p as never)), trained);
    const updates = optimizer.update(grads, state, trained);
    applyUpdates(trained, updates);
    dispose([value, grads, updates] as never);
  }
  return { model, params, trained, join: whole };
}

describe('LoRA on a published BERT', () => {
  it('loadBert({ techniques: { linear: lora() } }) computes at first what the plain model does, and training changes adapters and head alone', async () => {
    const [plain, adapted] = [await loadBert(folder, head, { seed: 3 }), await loadBert(folder, head, { seed: 3, techniques: { linear: lora(everywhere) } })];
    await expectClose(adapted.model.apply(inputs, adapted.params), plain.model.apply(inputs, plain.params), { rtol: 0, atol: 1e-6 });
    const { params } = await fineTuned();
    const before = new Map(treeEntries<Tensor>(plain.params));
    for (const [path, value] of treeEntries<Tensor>(params as unknown as Tree<Tensor>)) {
      if (!isAdapter(path) && !path.startsWith('head.')) await expectClose(value, before.get(path)!, { rtol: 0, atol: 0 });
    }
  });

  it('saveLora writes PEFT\'s names and shapes, and loadLora gives the same parameters back', async () => {
    const { model, params, trained, join: whole } = await fineTuned();
    await saveLora(directory, model, params, { alpha: 4, base: 'bert-tiny' });
    const { tensors } = await readSafetensors(join(directory, 'adapter_model.safetensors'));
    const at = (name: string) => tensors[`base_model.model.${name}`]?.shape;
    expect(at('bert.encoder.layer.1.attention.self.key.lora_A.weight')).toEqual([2, 8]);
    expect(at('bert.encoder.layer.1.attention.self.key.lora_B.weight')).toEqual([8, 2]);
    expect(at('bert.encoder.layer.0.intermediate.dense.lora_B.weight')).toEqual([12, 2]);
    expect(at('bert.encoder.layer.0.output.dense.lora_A.weight')).toEqual([2, 12]);
    expect([at('classifier.weight'), at('bert.pooler.dense.bias')]).toEqual([[3, 8], [8]]);
    expect(Object.keys(tensors).length).toBe(2 * 6 * 2 + 4);
    const config = JSON.parse(readFileSync(join(directory, 'adapter_config.json'), 'utf8')) as Record<string, unknown>;
    expect(config).toMatchObject({ peft_type: 'LORA', task_type: 'SEQ_CLS', r: 2, lora_alpha: 4, bias: 'none', modules_to_save: ['pooler', 'classifier'], base_model_name_or_path: 'bert-tiny' });
    const targets = new RegExp(`^${config['target_modules'] as string}$`);
    expect(['bert.encoder.layer.0.attention.self.query', 'bert.encoder.layer.1.output.dense', 'bert.pooler.dense', 'bert.encoder.layer.0.attention.self'].map((name) => targets.test(name))).toEqual([true, true, false, false]);
    const again = await loadLora(directory, model, { alpha: 4 });
    expect(Object.keys(again).sort()).toEqual(Object.keys(trained).sort());
    await expectClose(model.apply(inputs, whole(again)), model.apply(inputs, params), { rtol: 0, atol: 0 });
  });

  it('what foldLora folds is a plain BERT that saveBert writes and that computes the same', async () => {
    const { model, params } = await fineTuned();
    const plain = bertWithHead(bert(model.encoder.config), head);
    const folded = treeFromEntries(plain.specs, Object.entries(foldLora(model.specs, params as unknown as Params, { alpha: 4 }))) as unknown as HeadedParams;
    await saveBert(directory, plain, folded);
    const loaded = await loadBert(directory, head, { strict: true });
    await expectClose(loaded.model.apply(inputs, loaded.params), model.apply(inputs, params), { rtol: 1e-4, atol: 1e-5 });
  });

  it.skipIf(python === undefined)('what saveLora writes has the names and shapes that PEFT gives the wrapped model, and merged in PyTorch our logits', async () => {
    const { model, params } = await fineTuned();
    await saveLora(directory, model, params, { alpha: 4, base: folder });
    const [ids, mask] = [await inputs.ids.array(), await inputs.mask.array()];
    writeFileSync(join(directory, 'inputs.json'), JSON.stringify({ ids, mask, tokenTypes: ids.map((row) => row.map(() => 0)) }));
    const { classes } = JSON.parse(execFileSync(python as string, [resolve(import.meta.dirname, '../../../tools/golden/check_lora.py'), directory], { encoding: 'utf8' })) as { classes: { values: number[] } };
    await expectClose(model.apply(inputs, params), Float64Array.from(classes.values), { rtol: 0, atol: 1e-5 });
  });

  it('saveLora and loadLora name a model without adapters, another rank or alpha, and files of something else', async () => {
    const plain = await loadBert(folder, maskedLmHead());
    await expect(saveLora(directory, plain.model, plain.params)).rejects.toThrow('saveLora: model must have adapters, as of a model with linear: lora(), got none');
    const { model, params } = await fineTuned();
    await saveLora(directory, model, params, { alpha: 4 });
    await expect(loadLora(directory, model)).rejects.toThrow('the model must have rank 2 and alpha 4');
    writeFileSync(join(directory, 'adapter_config.json'), '{"peft_type":"IA3"}');
    await expect(loadLora(directory, model, { alpha: 4 })).rejects.toThrow('adapter_config.json must be one of LoRA, got peft_type');
  });
});
