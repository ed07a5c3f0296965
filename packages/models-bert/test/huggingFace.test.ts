import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { dispose, memory, tensor1d, tensor2d, type Tensor } from '@tensorflow/tfjs-core';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { loadStateDict, writeSafetensors } from '@evenkeel/checkpoint';
import { treeEntries, treePaths, valueAndGrad, type Tree } from '@evenkeel/core-tensor';
import {
  bert, bertConfigFromHuggingFace, bertEntries, bertNames, bertWithHead, classificationHead, loadBert, maskedLmHead, mosaicBert, preTrainingHead, saveBert, spanHead,
  regressionHead, tokenClassificationHead, type BertHead, type BertInputs, type HeadedParams,
} from '@evenkeel/models-bert';
import { expectClose, forEachBackend } from '@evenkeel/testing';

type Stored = { shape: number[]; values: number[] };
type Case = {
  ids: number[][]; tokenTypes: number[][]; mask: number[][]; labels: number[][]; nextSentence?: number[];
  outputs: Record<string, Stored>; loss: number; gradients: Record<string, Stored>;
};
const folder = `${import.meta.dirname}/golden`;
const golden = JSON.parse(readFileSync(`${folder}/bert-tiny.json`, 'utf8')) as { header: { regenerate: string }; bert: Case; roberta: Case };
const rows = (values: number[][]): Tensor => tensor2d(values, [values.length, values[0]!.length], 'int32');
const inputsOf = ({ ids, tokenTypes, mask }: Case) => ({ ids: rows(ids), tokenTypes: rows(tokenTypes), mask: rows(mask) });
const batchOf = (of: Case) => ({ ...inputsOf(of), labels: rows(of.labels), nextSentence: tensor1d(of.nextSentence ?? [0], 'int32') });

/** At the tokens that are no padding: nobody reads what is computed of the others. */
async function expectAtTokens(actual: Tensor, expected: Stored, mask: number[][]): Promise<void> {
  expect(actual.shape).toEqual(expected.shape);
  const width = expected.values.length / mask.flat().length;
  const real = mask.flat().flatMap((seen, i) => (seen === 1 ? Array.from({ length: width }, (_, j) => i * width + j) : []));
  const values = await actual.data();
  await expectClose(Float32Array.from(real, (i) => values[i]!), Float64Array.from(real, (i) => expected.values[i]!), { rtol: 0, atol: 1e-4 });
}

let directory: string;
beforeEach(() => { directory = mkdtempSync(join(tmpdir(), 'evenkeel-bert-')); });
afterEach(() => { rmSync(directory, { recursive: true, force: true }); });

forEachBackend(() => {
  describe(`a BERT written by PyTorch (${golden.header.regenerate})`, () => {
    it.each(['bert-tiny', 'bert-tiny-old'])('loadBert(%s) gives PyTorch\'s logits of tokens and pairs, and its loss, to 1e-4', async (name) => {
      const { model, params, fresh, unused } = await loadBert(`${folder}/${name}`, preTrainingHead(), { strict: true, techniques: { dropout: 0 } });
      expect([fresh, unused]).toEqual([[], []]);
      const batch = batchOf(golden.bert);
      const { tokens, nextSentence } = model.apply(batch, params);
      await expectAtTokens(tokens, golden.bert.outputs['tokens']!, golden.bert.mask);
      await expectClose(nextSentence, Float64Array.from(golden.bert.outputs['nextSentence']!.values), { rtol: 0, atol: 1e-4 });
      const loss = model.loss(batch, params);
      expect(Math.abs((await loss.data())[0]! - golden.bert.loss)).toBeLessThan(1e-4);
      dispose([params, batch, tokens, nextSentence, loss] as never);
    });

    it('valueAndGrad gives PyTorch\'s gradient of every parameter to 1e-4', async () => {
      const { model, params } = await loadBert(`${folder}/bert-tiny`, preTrainingHead());
      const batch = batchOf(golden.bert);
      const { grads } = valueAndGrad((p) => model.loss(batch, p as never), params);
      const entries = await bertEntries(model, grads as unknown as HeadedParams);
      expect(Object.keys(entries).sort()).toEqual(Object.keys(golden.bert.gradients).sort());
      for (const [name, { values }] of Object.entries(golden.bert.gradients)) {
        await expectClose(entries[name]!.data as Float32Array, Float64Array.from(values), { rtol: 0, atol: 1e-4 });
      }
      dispose([params, grads, batch] as never);
    });

    it('loadBert gives PyTorch\'s logits and gradients of a RoBERTa, with its names and positions', async () => {
      const { model, params, family } = await loadBert(`${folder}/roberta-tiny`, maskedLmHead(), { strict: true });
      expect([family, model.encoder.config.positionOffset, model.encoder.config.contextLength]).toEqual(['roberta', 2, 14]);
      const batch = batchOf(golden.roberta);
      const tokens = model.apply(batch, params);
      await expectAtTokens(tokens, golden.roberta.outputs['tokens']!, golden.roberta.mask);
      const { grads } = valueAndGrad((p) => model.loss(batch, p as never), params);
      const entries = await bertEntries(model, grads as unknown as HeadedParams, { family });
      for (const [name, { values }] of Object.entries(golden.roberta.gradients)) {
        await expectClose(entries[name]!.data as Float32Array, Float64Array.from(values), { rtol: 0, atol: 1e-4 });
      }
      dispose([params, grads, batch, tokens] as never);
    });
  });
});

const sizes = { vocabSize: 29, depth: 2, dim: 8, numHeads: 2, hiddenDim: 12, contextLength: 16 };
type AnyHead = BertHead<Tensor, BertInputs & { labels: Tensor }>;
const HEADS = { maskedLm: maskedLmHead(), preTraining: preTrainingHead(), classification: classificationHead({ numClasses: 3 }), regression: regressionHead(), tokenClassification: tokenClassificationHead({ numClasses: 5 }), span: spanHead() };
const FAMILIES = Object.keys(HEADS).flatMap((kind) => (kind === 'preTraining' ? [['bert', kind]] : [['bert', kind], ['roberta', kind]])) as ['bert' | 'roberta', keyof typeof HEADS][];
const modelOf = (family: 'bert' | 'roberta', kind: keyof typeof HEADS) =>
  bertWithHead(bert({ ...sizes, ...(family === 'roberta' && { positionOffset: 2, normEps: 1e-5 }) }), HEADS[kind] as unknown as AnyHead);
const leaves = async (params: unknown) => Promise.all(treeEntries<Tensor>(params as Tree<Tensor>).map(async ([path, leaf]) => [path, Array.from(await leaf.data())]));

/** A Python with PyTorch: the one in the path, or the system's. */
const python = ['python3', '/usr/bin/python3'].find((path) => spawnSync(path, ['-c', 'import torch']).status === 0);

describe('saveBert and loadBert', () => {
  it.each(FAMILIES)('saveBert then loadBert gives the same parameters, bit for bit: %s, %s', async (family, kind) => {
    const model = modelOf(family, kind);
    const params = model.init({ seed: 1 });
    await saveBert(directory, model, params, { family });
    const again = await loadBert(directory, HEADS[kind] as unknown as AnyHead, { strict: true });
    expect(again.model.encoder.config).toEqual(model.encoder.config);
    expect(await leaves(again.params)).toEqual(await leaves(params));
    dispose([params, again.params] as never);
  });

  it.each(FAMILIES)('bertNames is a bijection between our parameters and Hugging Face\'s names: %s, %s', (family, kind) => {
    const names = bertNames({ depth: 2 }, { family, kind });
    expect(names.map(({ path }) => path).sort()).toEqual(treePaths(modelOf(family, kind).specs).sort());
    const theirs = names.flatMap(({ name }) => name);
    expect(new Set(theirs).size).toBe(theirs.length);
  });

  it('saveBert writes what PyTorch wrote: the same names, shapes and values', async () => {
    for (const [name, head, family] of [['bert-tiny', HEADS.preTraining, 'bert'], ['roberta-tiny', HEADS.maskedLm, 'roberta']] as const) {
      const { model, params } = await loadBert(`${folder}/${name}`, head as unknown as AnyHead);
      await saveBert(directory, model, params, { family });
      const [ours, theirs] = await Promise.all([loadStateDict(directory), loadStateDict(`${folder}/${name}`)]);
      const weights = Object.entries(theirs).filter(([key]) => !/position_ids|decoder/.test(key));
      expect(Object.keys(ours).sort()).toEqual(weights.map(([key]) => key).sort());
      for (const [key, entry] of weights) expect(ours[key]).toEqual(entry);
      dispose(params as never);
    }
  });

  it('loadBert with another head starts that head anew, and says so; strict refuses', async () => {
    const before = memory().numTensors;
    const { params, fresh, unused } = await loadBert(`${folder}/bert-tiny`, classificationHead({ numClasses: 3 }), { seed: 5 });
    expect(fresh).toEqual(['head.classifier']); // the pooler is in the file
    expect(unused.sort()).toEqual(['cls.predictions.bias', 'cls.predictions.transform.LayerNorm.bias', 'cls.predictions.transform.LayerNorm.weight',
      'cls.predictions.transform.dense.bias', 'cls.predictions.transform.dense.weight', 'cls.seq_relationship.bias', 'cls.seq_relationship.weight']);
    dispose(params as never);
    await expect(loadBert(`${folder}/bert-tiny`, classificationHead({ numClasses: 3 }), { strict: true })).rejects.toThrow('missing (2): "classifier.weight", "classifier.bias"');
    expect(memory().numTensors).toBe(before);
  });

  it('loadBert names what is wrong: another architecture, sizes, blocks, a missing tensor, half a head, unknown tensors', async () => {
    cpSync(`${folder}/bert-tiny`, directory, { recursive: true });
    const config = JSON.parse(readFileSync(join(directory, 'config.json'), 'utf8')) as Record<string, unknown>;
    const withConfig = (changes: object) => writeFileSync(join(directory, 'config.json'), JSON.stringify({ ...config, ...changes }));
    const refused = (what: string | RegExp) => expect(loadBert(directory, preTrainingHead())).rejects.toThrow(what);
    withConfig({ model_type: 'vit' });
    await refused('bertConfigFromHuggingFace: config.json must be one of BERT or RoBERTa, got model_type');
    withConfig({ num_hidden_layers: 1_000_000_000 });
    await refused('config.json must have num_hidden_layers 2, as many blocks as the checkpoint holds, got 1000000000');
    withConfig({ hidden_size: 16 });
    await refused('"embeddings.word_embeddings.weight" must have shape [29, 16], got [29, 8]');
    withConfig({ position_embedding_type: 'relative_key' });
    await refused('position_embedding_type must be absolute, got relative_key');
    withConfig({});
    const all = { ...(await loadStateDict(directory)) };
    const { 'bert.encoder.layer.1.attention.self.key.weight': key, ...rest } = all;
    await writeSafetensors(join(directory, 'model.safetensors'), { ...rest, 'bert.encoder.layer.1.attention.self.keys.weight': key! });
    await refused(/missing \(1\): "encoder\.layer\.1\.attention\.self\.key\.weight"; unexpected \(1\): "encoder\.layer\.1\.attention\.self\.keys\.weight"/);
    const { 'cls.seq_relationship.bias': _, ...half } = all;
    await writeSafetensors(join(directory, 'model.safetensors'), half);
    await refused('missing (1): "cls.seq_relationship.bias"');
  });

  it('saveBert refuses what BERT\'s layout cannot say', async () => {
    const mosaic = bertWithHead(mosaicBert(sizes), maskedLmHead());
    await expect(saveBert(directory, mosaic, mosaic.init({ seed: 1 }))).rejects.toThrow("saveBert: model must be BERT's for a checkpoint to say what it computes, got another mlp, positions");
    const model = modelOf('bert', 'maskedLm');
    await expect(saveBert(directory, model, model.init({ seed: 1 }), { family: 'roberta' })).rejects.toThrow('positionOffset must be 0 for BERT and more for RoBERTa, got 0 for roberta');
    expect(() => bertNames({ depth: 1 }, { family: 'roberta', kind: 'preTraining' })).toThrow('roberta must have a head of kind');
    expect(() => bertConfigFromHuggingFace(null)).toThrow('config.json must be one of BERT or RoBERTa, got a wrong document');
  });

  it(`a directory written by saveBert loads with strict=True in PyTorch and has our outputs${python === undefined ? ' (no PyTorch here: the golden directory is compared instead)' : ''}`, async () => {
    if (python === undefined) {
      const { model, params } = await loadBert(`${folder}/bert-tiny`, preTrainingHead());
      await saveBert(directory, model, params);
      const names = Object.keys(await loadStateDict(`${folder}/bert-tiny`)).filter((key) => !/position_ids|decoder/.test(key));
      expect(Object.keys(await loadStateDict(directory)).sort()).toEqual(names.sort());
      return;
    }
    const script = resolve(import.meta.dirname, '../../../tools/golden/check_bert.py');
    const cases = await Promise.all(FAMILIES.map(async ([family, kind]) => {
      const of = family === 'bert' ? golden.bert : { ...golden.roberta, tokenTypes: golden.roberta.ids.map((row) => row.map(() => 0)) };
      const model = modelOf(family, kind);
      const params = model.init({ seed: 3 });
      const path = join(directory, `${family}-${kind}`);
      mkdirSync(path);
      await saveBert(path, model, params, { family });
      writeFileSync(join(path, 'inputs.json'), JSON.stringify({ ids: of.ids, tokenTypes: of.tokenTypes, mask: of.mask }));
      return { path, kind, of, ours: model.apply(inputsOf(of), params) as Tensor | Record<string, Tensor> };
    }));
    const lines = execFileSync(python, [script, ...cases.map(({ path }) => path)], { encoding: 'utf8' }).trim().split('\n');
    for (const [i, { kind, of, ours }] of cases.entries()) {
      const theirs = JSON.parse(lines[i]!) as Record<string, Stored>;
      const named = 'rank' in ours ? { [kind === 'maskedLm' ? 'tokens' : 'classes']: ours as Tensor } : ours;
      expect(Object.keys(named).sort()).toEqual(Object.keys(theirs).sort());
      for (const [name, values] of Object.entries(theirs)) {
        if (values.shape[1] === 7) await expectAtTokens(named[name]!, values, of.mask);
        else await expectClose(named[name]!, Float64Array.from(values.values), { rtol: 0, atol: 1e-4 });
      }
    }
  }, 240_000);
});
