import { existsSync, readFileSync } from 'node:fs';
import { beforeAll, describe, expect, it } from 'vitest';
import { readSafetensors } from '@evenkeel/checkpoint';
import { tensor2d } from '@tensorflow/tfjs-core';
import { classified } from '../src/classified.ts';
import { evenkeel, evenkeelJson, metricsOf } from './support/evenkeel.ts';
import { CPU, fineTuning } from './support/finetune.ts';
import { killAfter, labelled } from './support/texts.ts';

const { files, data, tune, jsonOf, predict } = fineTuning();

describe('evenkeel finetune --task classification', () => {
  let result: Record<string, unknown>;
  beforeAll(async () => {
    result = await evenkeelJson(tune('run', '--epochs', '8'));
  });

  it('finetune --json says what it measured, and the task is learned', () => {
    expect(result).toMatchObject({ command: 'finetune', accuracy: 1, f1: 1, matthews: 1, best: { metric: 'accuracy', value: 1, checkpoint: files.at('run/best') } });
    expect(metricsOf(files.at('run')).find(({ kind }) => kind === 'eval')).toMatchObject({ values: { accuracy: expect.any(Number) as number, f1: expect.any(Number) as number } });
  });

  it('finetune keeps the last and the best model as `transformers` loads them, with tokenizer and classes', async () => {
    for (const directory of ['run', 'run/best']) {
      expect(jsonOf(`${directory}/config.json`)).toMatchObject({ architectures: ['BertForSequenceClassification'], id2label: { 0: '0', 1: '1' } });
      const { tensors } = await readSafetensors(files.at(`${directory}/model.safetensors`));
      expect(Object.keys(tensors)).toEqual(expect.arrayContaining(['bert.pooler.dense.weight', 'classifier.weight']));
      expect(existsSync(files.at(`${directory}/tokenizer.json`))).toBe(true);
    }
  });

  it('finetune writes a report with a confusion matrix and rows of text', () => {
    const report = readFileSync(files.at('run/report.html'), 'utf8');
    for (const part of ['Confusion matrix', '1 predicted as 1', 'Predictions', ' hides ', 'On the validation data', `classification on ${data}, from ${files.at('base')}.`]) expect(report).toContain(part);
    for (const other of ['mixup', 'textColumn', 'null']) expect(report).not.toContain(other);
  });

  it('predict says how probable each class is, of one text and of many', async () => {
    const one = await predict('run/best', '--text', 'my cat sees the moon.');
    expect(one).toMatchObject({ command: 'predict', count: 1, cut: 0, predictions: [{ input: 'my cat sees the moon.', label: '1', top: [{ label: '1' }, { label: '0' }] }] });
    const [{ top }] = one['predictions'] as [{ top: { probability: number }[] }];
    expect(top.reduce((sum, { probability }) => sum + probability, 0)).toBeCloseTo(1, 5);
    expect(await predict('run/best', '--text', 'my cat', '--text', 'a dog')).toMatchObject({ count: 2, predictions: [{ input: 'my cat', label: '1' }, { input: 'a dog', label: '0' }] });
    const out = files.at('predictions.csv');
    expect(await predict('run', '--data', data, '--out', out)).toMatchObject({ count: 96, out, accuracy: 1, f1: 1, matthews: 1 });
    expect(await predict('run', '--data', files.write('wrong.tsv', 'my cat\t0\na dog\t0\n'))).toMatchObject({ accuracy: 0.5, f1: 0 });
    const unknown = files.write('others.tsv', 'my cat\tyes\na dog\tno\n');
    expect(await predict('run', '--data', unknown)).not.toHaveProperty('accuracy');
    expect((await evenkeel(['predict', '--checkpoint', files.at('run'), ...CPU, '--data', unknown])).stderr).toContain('nothing measured: the label "yes" is no class of the model');
    const rows = readFileSync(out, 'utf8').trimEnd().split('\n');
    expect(rows[0]).toBe('input,label,probability');
    expect(rows.slice(1).every((row) => row.includes('cat') === row.includes(',1,'))).toBe(true);
  });

  it('finetune keeps a head for the same classes in the same order, and begins a new one for others', async () => {
    const begun = async (out: string, labels: readonly [string, string, ...string[]]): Promise<string> => {
      const rows = Array.from({ length: 24 }, (_, i) => `the cat ${i}\t${labels[i % labels.length]}\n`).join('');
      const { stdout, stderr, code } = await evenkeel(tune(out, '--checkpoint', files.at('run'), '--data', files.write(`${out}.tsv`, rows), '--steps', '1'));
      expect([code, stderr]).toEqual([0, '']);
      return /head: (\w+)/.exec(stdout.replace(/\s+/g, ' '))?.[1] as string;
    };
    expect([await begun('same', ['0', '1']), await begun('renamed', ['bad', 'good']), await begun('more', ['1', '3', '5'])]).toEqual(['kept', 'new', 'new']);
    expect(jsonOf('more/config.json')).toMatchObject({ id2label: { 0: '1', 1: '3', 2: '5' } });
  });

  it('finetune without --learning-rate takes a larger one for a narrow encoder, and says so', async () => {
    const args = tune('rate', '--steps', '1', '--data', files.write('unknown.tsv', labelled(24).replaceAll('cat', '馬 馬 馬')));
    const { stdout } = await evenkeel(args.toSpliced(args.indexOf('--learning-rate'), 2));
    const said = stdout.replace(/\s+/g, ' ');
    expect(said).toContain('with learning rate 0.001: 0.00005 at width 768, scaled to width 16');
    expect(said).toMatch(/\d+\.\d % of the tokens are \[UNK\]/);
    expect(said).toMatch(/unknown\.tsv has no names of columns: row 1 is read as an example/);
  });

  it.each([
    ['all weights', []],
    ['adapters', ['--lora', '2']],
  ])('finetune --resume after kill -9 goes on bit for bit: %s', async (name, flags) => {
    const args = (out: string) => tune(out, '--val-data', data, '--steps', '60', '--batch-size', '4', '--checkpoint-every', '5', '--eval-every', '20', ...flags);
    const [whole, killed] = [`${name}-whole`, `${name}-killed`];
    const expected = await evenkeelJson(args(whole));
    expect(await killAfter(args(killed), files.at(killed), 13)).toBe('SIGKILL');
    const again = await evenkeelJson(['finetune', '--out', files.at(killed), '--resume']);
    expect(metricsOf(files.at(killed))).toEqual(metricsOf(files.at(whole)));
    const weights = flags.length > 0 ? 'adapter_model.safetensors' : 'model.safetensors';
    for (const path of [weights, `best/${weights}`, 'best/best.json']) expect(readFileSync(files.at(`${killed}/${path}`)).equals(readFileSync(files.at(`${whole}/${path}`)))).toBe(true);
    for (const field of ['trainLoss', 'valLoss', 'accuracy']) expect(again[field]).toBe(expected[field]);
  });

  it("finetune --lora leaves adapters in PEFT's layout, which predict uses", async () => {
    expect(jsonOf('adapters-whole/adapter_config.json')).toMatchObject({ peft_type: 'LORA', r: 2, base_model_name_or_path: files.at('base') });
    const { code, stderr } = await evenkeel(tune('of-adapters', '--checkpoint', files.at('adapters-whole')));
    expect([code, stderr]).toEqual([2, `error: --checkpoint must be a whole model, got adapters in ${files.at('adapters-whole')}, which cannot be fine-tuned further; begin with the model that they belong to\n`]);
    const { tensors } = await readSafetensors(files.at('adapters-whole/adapter_model.safetensors'));
    expect(Object.keys(tensors)).toContain('base_model.model.bert.encoder.layer.0.attention.self.query.lora_A.weight');
    const { accuracy, params, trainableParams } = await evenkeelJson(['finetune', '--out', files.at('adapters-whole'), '--resume']); // finished: says it again
    expect(trainableParams).toBeLessThan(params as number);
    const { predictions } = await predict('adapters-whole', '--data', data) as { predictions: { input: string; label: string }[] };
    expect(predictions.filter(({ input, label }) => input.includes('cat') === (label === '1')).length / predictions.length).toBeCloseTo(accuracy as number, 12);
  });

  it('finetune takes MosaicBERT, and names of classes and columns from CSV', async () => {
    const csv = files.write('train.csv', `review,about\n${labelled(40).trimEnd().split('\n').map((row) => row.replace(/\t1$/, ',cats').replace(/\t0$/, ',others')).join('\n')}\n`);
    const { accuracy } = await evenkeelJson(['finetune', '--checkpoint', files.at('mosaic'), '--task', 'classification', '--data', csv, '--text-column', 'review', '--label-column', 'about', ...CPU, '--steps', '4', '--out', files.at('of-mosaic')]);
    expect(accuracy).toBeTypeOf('number');
    expect(jsonOf('of-mosaic/config.json')).toMatchObject({ model_type: 'evenkeel-bert', head: { kind: 'classification', numClasses: 2 }, id2label: { 0: 'cats', 1: 'others' } });
    expect(await predict('of-mosaic', '--text', 'a dog')).toMatchObject({ predictions: [{ label: expect.stringMatching(/cats|others/) as string }] });
    await evenkeelJson(tune('lora-of-mosaic', '--checkpoint', files.at('mosaic'), '--lora', '--steps', '2'));
    expect(await predict('lora-of-mosaic', '--text', 'a dog')).toMatchObject({ predictions: [{ label: expect.stringMatching(/^[01]$/) as string }] });
  });
});

describe('classified(logits)', () => {
  it('refuses logits that are not finite', async () => {
    async function* logits() { yield tensor2d([[0, 1], [NaN, 0]]); }
    await expect(classified(logits())).rejects.toThrow('the model must give finite logits, got NaN. Are its weights damaged?');
  });
});
