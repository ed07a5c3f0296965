import { cpSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { beforeAll, describe, expect, it } from 'vitest';
import { readSafetensors } from '@evenkeel/checkpoint';
import { tensor2d } from '@tensorflow/tfjs-core';
import { classified } from '../src/classified.ts';
import { checkpointFingerprint } from '../src/finetune/fingerprint.ts';
import { readClassExamples } from '../src/finetune/textExamples.ts';
import { evenkeel, evenkeelJson, metricsOf, scratch, sentences } from './support/evenkeel.ts';
import { cifarBytes, imageFolders } from './support/images.ts';
import { killAfter, labelled, TINY_BERT } from './support/texts.ts';

const files = scratch();
const data = files.write('train.tsv', labelled(96));
const CPU = ['--device', 'wasm'];
const tune = (out: string, ...flags: string[]) => ['finetune', '--checkpoint', files.at('base'), '--task', 'classification', '--data', data, ...CPU, '--learning-rate', '0.02', '--out', files.at(out), ...flags];
const jsonOf = (path: string): Record<string, unknown> => JSON.parse(readFileSync(files.at(path), 'utf8')) as Record<string, unknown>;
const predict = (checkpoint: string, ...flags: string[]) => evenkeelJson(['predict', '--checkpoint', files.at(checkpoint), ...CPU, ...flags]);

beforeAll(async () => {
  const corpus = files.write('corpus.txt', sentences(120));
  const base = ['train', 'bert', '--data', corpus, ...TINY_BERT, '--steps', '2', '--dropout', '0.1'];
  await Promise.all([evenkeelJson([...base, '--out', files.at('base')]), evenkeelJson([...base, '--arch', 'mosaic', '--out', files.at('mosaic')])]);
});

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

describe('evenkeel finetune for other tasks', () => {
  it('finetune --task token-classification tags words, and predict shows them', async () => {
    const sentence = (i: number): string => `${['john', 'mary'][i % 2]} B-PER\nsees O\n${['rome', 'oslo'][(i >> 1) % 2]} B-LOC\n\n`;
    const conll = files.write('ner.conll', Array.from({ length: 40 }, (_, i) => sentence(i)).join(''));
    const result = await evenkeelJson(['finetune', '--checkpoint', files.at('base'), '--task', 'token-classification', '--data', conll, ...CPU, '--learning-rate', '0.02', '--epochs', '10', '--out', files.at('tags')]);
    expect(result).toMatchObject({ f1: 1, accuracy: 1 });
    expect(jsonOf('tags/config.json')).toMatchObject({ architectures: ['BertForTokenClassification'], id2label: { 0: 'B-LOC', 1: 'B-PER', 2: 'O' } });
    expect(await predict('tags', '--text', 'mary sees oslo')).toMatchObject({ predictions: [{ words: [['mary', 'B-PER'], ['sees', 'O'], ['oslo', 'B-LOC']] }] });
    const long = files.write('long.conll', `${sentence(0).trimEnd()}\n${'sees O\n'.repeat(14)}mary B-PER\n`);
    const ofLong = await evenkeelJson(['finetune', '--checkpoint', files.at('tags'), '--task', 'token-classification', '--data', conll, '--val-data', long, ...CPU, '--steps', '1', '--learning-rate', '1e-9', '--out', files.at('cut-tags')]);
    expect([ofLong['f1'], ofLong['accuracy']]).toEqual([expect.closeTo(4 / 5, 9), expect.closeTo(17 / 18, 9)]); // of three names the last one is cut
    expect(await predict('tags', '--data', conll)).toMatchObject({ count: 40, cut: 0, f1: 1, accuracy: 1 });
    const scored = await predict('cut-tags', '--data', long);
    expect([scored['f1'], scored['accuracy'], scored['cut']]).toEqual([ofLong['f1'], ofLong['accuracy'], 1]);
    const plain = await predict('tags', '--data', files.write('plain.txt', 'mary sees oslo\njohn sees rome\n'));
    expect([plain['count'], plain['f1']]).toEqual([2, undefined]);
    const stray = files.write('stray.conll', 'john B-ORG\n');
    const { code, stderr } = await evenkeel(['finetune', '--checkpoint', files.at('base'), '--task', 'token-classification', '--data', conll, '--val-data', stray, ...CPU, '--out', files.at('refused')]);
    expect([code, stderr]).toEqual([2, `error: --val-data must have tags among B-LOC, B-PER, O, got B-ORG on line 1 of ${stray}\n`]);
  });

  it('finetune --task qa answers questions about contexts longer than the model, and predict does', async () => {
    const context = `${'the cat sees the moon. '.repeat(8)}john lives in rome.`;
    const qas = ['john lives in', 'who lives in rome'].map((question, i) => ({ id: `q${i}`, question, answers: [i === 0 ? { text: 'rome', answer_start: context.indexOf('rome') } : { text: 'john', answer_start: context.indexOf('john') }] }));
    const squad = files.write('squad.json', JSON.stringify({ data: [{ title: 't', paragraphs: Array.from({ length: 4 }, () => ({ context, qas })) }] }));
    const result = await evenkeelJson(['finetune', '--checkpoint', files.at('base'), '--task', 'qa', '--data', squad, '--val-data', squad, ...CPU, '--batch-size', '4', '--steps', '6', '--out', files.at('qa')]);
    expect(result).toMatchObject({ f1: expect.any(Number) as number, exactMatch: expect.any(Number) as number, valLoss: expect.any(Number) as number });
    expect(jsonOf('qa/config.json')).toMatchObject({ architectures: ['BertForQuestionAnswering'] });
    const { predictions } = await predict('qa', '--question', 'who', '--context', context);
    const scored = await predict('qa', '--data', squad);
    expect([scored['f1'], scored['exactMatch'], scored['count']]).toEqual([result['f1'], result['exactMatch'], 8]);
    const asked = (text: string) => files.write('asked.json', JSON.stringify({ data: [{ paragraphs: [{ context: text, qas: [{ id: 'q7', question: 'who lives in rome' }] }] }] }));
    const unscored = await predict('qa', '--data', asked(context));
    expect(unscored).toMatchObject({ predictions: [{ id: 'q7', input: 'who lives in rome' }] });
    expect(unscored).not.toHaveProperty('f1');
    const gaps = files.write('gaps.json', JSON.stringify({ data: [{ paragraphs: [{ context, qas: [...qas, { id: 'q8', question: ' ', answers: qas[0]?.answers }, { id: 'q9', question: 'who' , answers: [] }] }, { context: ' ', qas: [{ id: 'q7', question: 'who lives in rome', answers: [{ text: ' ', answer_start: 0 }] }] }] }] }));
    const told = await evenkeel(['predict', '--checkpoint', files.at('qa'), ...CPU, '--data', gaps, '--json']);
    expect(told.stderr).toContain(`2 questions without words, or with a context without any, answered by nothing, the first with the id "q8" in ${gaps}`);
    expect(told.stderr).toContain('measured on the 4 questions with answers, of 5');
    expect((JSON.parse(told.stdout.trim()) as { predictions: { id: string; label: string }[] }).predictions.map(({ id, label }) => [id, label === ''])).toEqual([['q0', false], ['q1', false], ['q8', true], ['q9', false], ['q7', true]]);
    const tuned = await evenkeel(['finetune', '--checkpoint', files.at('base'), '--task', 'qa', '--data', gaps, '--val-data', gaps, ...CPU, '--batch-size', '2', '--steps', '1', '--out', files.at('qa-gaps')]);
    expect([tuned.code, tuned.stdout.replace(/\s+/g, ' ')]).toEqual([0, expect.stringContaining(`1 question without an answer left out in ${gaps} 2 questions without words, or with a context without any, left out, the first with the id "q8" in ${gaps}`)]);
    const { code, stderr } = await evenkeel(['predict', '--checkpoint', files.at('qa'), ...CPU, '--question', 'who', '--context', ' ']);
    expect([code, stderr]).toEqual([2, expect.stringContaining('error: --question and --context must have words, got "who" and " "\n')]);
    expect(context).toContain((predictions as [{ label: string }])[0].label);
  });

  it('finetune --task image-classification gives a ViT other classes, and predict names them', async () => {
    const train = (out: string, ...flags: string[]) => evenkeelJson(['train', 'vit', '--data', files.write('images.bin', cifarBytes(30)), ...CPU, '--depth', '1', '--dim', '16', '--num-heads', '2', '--patch-size', '8', '--batch-size', '6', '--steps', '2', '--out', files.at(out), ...flags]);
    await Promise.all([train('vit'), train('own-vit', '--placement', 'peri', '--qk-norm')]);
    const folders = imageFolders(files.at('colours'), ['red', 'green'], { count: 12 });
    const own = await evenkeelJson(['finetune', '--checkpoint', files.at('own-vit'), '--task', 'image-classification', '--data', folders, ...CPU, '--steps', '2', '--out', files.at('own-colour')]);
    expect(own).toMatchObject({ accuracy: expect.any(Number) as number });
    expect(jsonOf('own-colour/config.json')).toMatchObject({ model_type: 'evenkeel-vit', numClasses: 2, techniques: { placement: 'peri', qkNorm: true } });
    const result = await evenkeelJson(['finetune', '--checkpoint', files.at('vit'), '--task', 'image-classification', '--data', folders, ...CPU, '--learning-rate', '0.01', '--steps', '20', '--batch-size', '6', '--out', files.at('colour')]);
    expect(result).toMatchObject({ accuracy: 1 });
    expect(jsonOf('colour/config.json')).toMatchObject({ model_type: 'vit', id2label: { 0: 'green', 1: 'red' } });
    expect(await predict('colour', '--image', `${folders}/red/0.png`, `${folders}/green/1.png`)).toMatchObject({ predictions: [{ label: 'red' }, { label: 'green' }] });
    expect(readFileSync(files.at('colour/report.html'), 'utf8')).toContain('data:image/png');
    expect(await predict('colour', '--data', `${folders}/red`, '--batch-size', '5')).toMatchObject({ count: 12, predictions: expect.arrayContaining([expect.objectContaining({ input: `${folders}/red/7.png`, label: 'red' })]) as unknown });
    for (const [base, out] of [['vit', 'lora-colour'], ['own-vit', 'lora-own']] as const) {
      const { accuracy, params, trainableParams } = await evenkeelJson(['finetune', '--checkpoint', files.at(base), '--task', 'image-classification', '--data', folders, ...CPU, '--lora', '2', '--learning-rate', '0.05', '--steps', '30', '--batch-size', '6', '--out', files.at(out)]);
      expect([accuracy, trainableParams]).toEqual([1, 2 * (3 * 2 * 16) + 2 * 16 + 2]);
      expect(params).toBeGreaterThan(3000);
      expect(jsonOf(`${out}/adapter_config.json`)).toMatchObject({ peft_type: 'LORA', r: 2, modules_to_save: ['classifier'], base_model_name_or_path: files.at(base) });
      expect(await predict(out, '--image', `${folders}/red/0.png`, `${folders}/green/1.png`)).toMatchObject({ predictions: [{ label: 'red' }, { label: 'green' }] });
    }
    expect(await predict('colour', '--data', folders)).toMatchObject({ count: 24, accuracy: 1 });
    const turned = imageFolders(files.at('turned'), ['green', 'red'], { count: 2 }); // each in the folder of the other
    expect(await predict('colour', '--data', turned)).toMatchObject({ count: 4, accuracy: 0 });
    const named = await evenkeel(['predict', '--checkpoint', files.at('colour'), ...CPU, '--data', imageFolders(files.at('named'), ['blue', 'red'], { count: 1 })]);
    expect(named.stderr).toContain('nothing measured: the label "blue" is no class of the model');
    const { code, stderr } = await evenkeel(['predict', '--checkpoint', files.at('colour'), ...CPU, '--image', folders]);
    expect([code, stderr]).toEqual([2, `error: --image must be files, got the folder ${folders}; --data takes one\n`]);
  });

  it.each([['a ViT', 'vit', [], 'vit.encoder.layer.0.attention.attention.query', ['--augment', 'deit']], ['a ViT of ours', 'own-vit', ['--dropout', '0.2'], 'vit.encoder.layer.0.attention.attention.value', []]] as const)(
    "finetune --lora of %s leaves adapters in PEFT's layout, goes on after kill -9 bit for bit, and predict uses them", async (_, base, flags, module, augment) => {
      const args = (out: string) => ['finetune', '--checkpoint', files.at(base), '--task', 'image-classification', '--data', files.at('colours'), '--lora', '4', ...CPU, '--learning-rate', '0.02', '--steps', '60', '--batch-size', '6', '--checkpoint-every', '5', '--eval-every', '20', ...flags, ...augment, '--out', files.at(out)];
      const [whole, killed] = [`${base}-lora-whole`, `${base}-lora-killed`];
      const { accuracy, params, trainableParams, ...expected } = await evenkeelJson(args(whole));
      expect(trainableParams).toBeLessThan(params as number);
      expect(await killAfter(args(killed), files.at(killed), 13)).toBe('SIGKILL');
      const again = await evenkeelJson(['finetune', '--out', files.at(killed), '--resume']);
      expect(metricsOf(files.at(killed))).toEqual(metricsOf(files.at(whole)));
      for (const path of ['adapter_model.safetensors', 'best/adapter_model.safetensors', 'best/best.json']) expect(readFileSync(files.at(`${killed}/${path}`)).equals(readFileSync(files.at(`${whole}/${path}`)))).toBe(true);
      expect([again['trainLoss'], again['valLoss']]).toEqual([expected['trainLoss'], expected['valLoss']]);
      expect(jsonOf(`${whole}/adapter_config.json`)).toMatchObject({ peft_type: 'LORA', r: 4, base_model_name_or_path: files.at(base), modules_to_save: ['classifier'] });
      const { tensors } = await readSafetensors(files.at(`${whole}/adapter_model.safetensors`));
      expect(tensors[`base_model.model.${module}.lora_A.weight`]?.shape).toEqual([4, 16]);
      expect([accuracy, existsSync(files.at(`${whole}/model.safetensors`))]).toEqual([1, false]);
      expect(await predict(whole, '--image', `${files.at('colours')}/red/0.png`, `${files.at('colours')}/green/1.png`)).toMatchObject({ predictions: [{ label: 'red' }, { label: 'green' }] });
    });

  it.each([['all weights', []], ['adapters', ['--lora', '4']]] as const)('finetune --task stsb learns a number for two sentences, and predict says it: %s', async (name, flags) => {
    const [who, does] = [['the cat', 'a dog', 'nobody'], ['sees the moon', 'hides a river', 'paints it']];
    const rows = Array.from({ length: 120 }, (_, i) => [i % 3, Math.floor(i / 3) % 3, Math.floor(i / 9) % 3, Math.floor(i / 27) % 3] as const)
      .map(([a, b, c, d]) => `${who[a]} ${does[c]}\t${who[b]} ${does[d]}\t${(a === 0 ? 2.5 : 0) + (b === 0 ? 1.5 : 0)}`);
    const stsb = files.write('stsb.tsv', `sentence1\tsentence2\tscore\n${rows.join('\n')}\n`);
    const args = (out: string, path = stsb) => ['finetune', '--checkpoint', files.at('base'), '--task', 'stsb', '--data', path, ...CPU, '--learning-rate', '0.02', '--epochs', '8', '--batch-size', '8', '--out', files.at(out), ...flags];
    const out = `stsb-${flags.length}`;
    const result = await evenkeelJson(args(out));
    expect(result).toMatchObject({ spearman: expect.any(Number) as number, pearson: expect.any(Number) as number, best: { metric: 'spearman' } });
    if (name === 'all weights') {
      expect(result['spearman']).toBeGreaterThan(0.6);
      expect(jsonOf(`${out}/config.json`)).toMatchObject({ architectures: ['BertForSequenceClassification'], problem_type: 'regression', id2label: { 0: 'LABEL_0' } });
      expect(readFileSync(files.at(`${out}/report.html`), 'utf8')).toContain('The farthest from the truth come first');
      const again = await evenkeel([...args('stsb-again'), '--checkpoint', files.at(out), '--steps', '1'].filter((word, i, all) => word !== '--epochs' && all[i - 1] !== '--epochs'));
      expect(again.stdout.replace(/\s+/g, ' ')).toContain('head: kept');
    }
    const all = await predict(out, '--data', stsb) as { count: number; spearman: number; predictions: { value: number; label: string }[] };
    expect([all.count, all.spearman > (flags.length > 0 ? 0 : 0.6)]).toEqual([120, true]);
    expect(all.predictions[0]?.label).toBe(all.predictions[0]?.value.toFixed(4));
    const wrong = await evenkeel(args('refused', files.write('wrong-stsb.tsv', 'sentence1\tsentence2\tscore\na\tb\t1\nc\td\thigh\n')));
    expect([wrong.code, wrong.stderr]).toEqual([2, `error: --data must have numbers as labels, got "high" on line 3 of ${files.at('wrong-stsb.tsv')}\n`]);
    const single = await evenkeel(args('refused', data));
    expect(single.stderr).toMatch(/^error: --task stsb must have two texts in each row, got one in .*train\.tsv/);
  });

  it('predict fills in masked tokens', async () => {
    const { predictions } = await predict('base', '--text', 'the [MASK] sees the [MASK].', '--top', '3');
    expect((predictions as [{ masks: unknown[][] }])[0].masks.map((each) => each.length)).toEqual([3, 3]);
  });
});

describe('classified(logits)', () => {
  it('refuses logits that are not finite', async () => {
    async function* logits() { yield tensor2d([[0, 1], [NaN, 0]]); }
    await expect(classified(logits())).rejects.toThrow('the model must give finite logits, got NaN. Are its weights damaged?');
  });
});

describe('finetune and predict with what they cannot use', () => {
  const refused = async (args: readonly string[], message: RegExp): Promise<void> => {
    const { code, stderr, stdout } = await evenkeel(args);
    expect(stderr).toMatch(/^error: [^\n]+\n$/);
    expect(stderr).toMatch(message);
    expect(stderr).not.toMatch(/unexpected/);
    expect([code, stdout.includes('{')]).toEqual([expect.toSatisfy((each) => each === 1 || each === 2), false]);
    expect(existsSync(files.at('refused'))).toBe(false);
  };
  const tuneOn = (path: string, ...flags: string[]) => tune('refused', '--data', path, ...flags);

  it('finetune names file and line of a label that is no class, and of a row without one', async () => {
    await refused(tuneOn(data, '--val-data', files.write('val.tsv', 'a\t1\nb\t2\n')), /--val-data must have labels among 0, 1, got "2" on line 2 of .*val\.tsv/);
    await refused(tuneOn(files.write('odd.tsv', 'a\t1\nb\t0\nc\t7\n'), '--task', 'sst2'), /--data must have labels among 0, 1, got "7" on line 3 of .*odd\.tsv/);
    await refused(tuneOn(files.write('empty.csv', 'text,label\na,1\nb,\n')), /empty\.csv must have a label in each row, got none on line 3/);
    const ids = files.write('ids.csv', `id,text,label\n${Array.from({ length: 40 }, (_, i) => `${i},a cat,${i % 2}\n`).join('')}`);
    await refused(tuneOn(ids, '--text-column', 'text', '--label-column', 'id'), /--label-column must be classes that several rows share, got 40 different values in the 40 rows of the column id of .*ids\.csv; --label-column names another column$/m);
    await refused(tuneOn(files.write('same.tsv', 'a\t1\nb\t1\n')), /--data must have two different labels or more, got 1 alone/);
  });

  it('finetune says what a task of GLUE needs: two texts, and as many classes as it has', async () => {
    const pairs = files.write('pairs.tsv', 'a\tb\t0\nc\td\t1\n');
    await refused(tuneOn(pairs, '--task', 'mnli'), /--task mnli must have 3 different labels, got 2 in .*pairs\.tsv: 0, 1/);
    for (const task of ['mnli', 'qqp', 'qnli', 'rte', 'mrpc']) await refused(tuneOn(data, '--task', task), new RegExp(`--task ${task} must have two texts in each row, got one in .*train\\.tsv`));
  });

  it('readClassExamples takes 1, "1" and 1.0 for one class, and refuses numbers that are none', async () => {
    const settings = { task: 'classification', valData: null, valFraction: 0, seed: 1, textColumn: null, textPairColumn: null, labelColumn: null } as const;
    const read = (name: string, ...labels: unknown[]) => readClassExamples({ ...settings, data: files.write(name, labels.map((label) => JSON.stringify({ text: 'a', label })).join('\n')) });
    expect((await read('numbers.jsonl', 1, '1', '1.0', 0, '0')).classes).toEqual(['0', '1']);
    await expect(read('scores.jsonl', 1, 0.25)).rejects.toThrow(/--data must have classes as labels, got 0\.25 on line 2 of .*scores\.jsonl; --task regression learns numbers$/);
  });

  it('finetune names the columns that exist where one is missing', async () => {
    await refused(tuneOn(files.write('columns.csv', 'body,stars\na,1\n'), '--text-column', 'text'), /columns\.csv must have the column text, got body, stars/);
    await refused(tuneOn(files.write('unnamed.csv', 'text,stars\na,1\n')), /must have a column of labels, such as .*, got text, stars; name it with --label-column$/m);
    await refused(tuneOn(files.write('header.csv', `opinion,verdict\n${'a,good\nb,bad\n'.repeat(4)}`)), /looks like names \(opinion, verdict\): its label is on no other line; name them with --text-column and --label-column$/m);
  });

  it('finetune says how many rows were too long, or refuses them, and how long one may be', async () => {
    const long = files.write('long.tsv', `${labelled(20)}${'the cat sees '.repeat(20)}\t1\n`);
    const { stdout, code } = await evenkeel(tune('long', '--data', long, '--val-fraction', '0', '--steps', '1'));
    expect(code).toBe(0);
    expect(stdout).toContain('1 training row longer than 16 tokens cut at the end, the first on line 21');
    await refused(tuneOn(long, '--val-fraction', '0', '--too-long', 'refuse'), /--too-long refuse: rows must have at most 16 tokens, got more on line 21 of .*long\.tsv/);
    const twice = files.write('twice.tsv', `${labelled(20)}${`${'the cat sees '.repeat(20)}\t1\n`.repeat(9)}`);
    await refused(tuneOn(twice, '--too-long', 'refuse'), /got more on line 21 of .*twice\.tsv and in 8 other rows$/m);
    await refused(tuneOn(data, '--max-length', '64'), /--max-length must be at most the 16 positions of the checkpoint, got 64/);
  });

  it('finetune refuses a checkpoint of another architecture, and a task of another kind', async () => {
    cpSync(files.at('base'), files.at('gpt'), { recursive: true });
    writeFileSync(files.at('gpt/config.json'), JSON.stringify({ model_type: 'gpt2' }));
    await refused([...tuneOn(data), '--checkpoint', files.at('gpt')], /--checkpoint must be a BERT, RoBERTa, ViT or DeiT, got the architecture gpt2 in .*config\.json/);
    await refused([...tuneOn(data), '--task', 'image-classification'], /--task image-classification must have a checkpoint of a ViT or DeiT, got one that reads texts/);
    cpSync(files.at('base'), files.at('wrong'), { recursive: true });
    writeFileSync(files.at('wrong/config.json'), readFileSync(files.at('base/config.json'), 'utf8').replace('"intermediate_size": 64', '"intermediate_size": 32'));
    await refused([...tuneOn(data), '--checkpoint', files.at('wrong')], /intermediate\.dense\.weight/);
    await refused(['finetune', '--task', 'sst2', '--data', data], /evenkeel finetune needs --checkpoint/);
  });

  it('finetune --resume refuses other data than those it was begun with', async () => {
    const moved = files.write('moved.tsv', labelled(24));
    await evenkeelJson(tune('moved', '--data', moved, '--steps', '1'));
    writeFileSync(moved, labelled(25));
    const { code, stderr } = await evenkeel(['finetune', '--out', files.at('moved'), '--resume']);
    expect(code).toBe(2);
    expect(stderr).toMatch(/--resume must find the data and the checkpoint with which the run was begun, got others in .*moved\.tsv or /);
  });

  it('checkpointFingerprint changes with the tokenizer and with each shard of the weights, and with nothing else', async () => {
    const names = ['config.json', 'tokenizer.json', 'tokenizer_config.json', 'vocab.txt', 'model.safetensors.index.json', 'model-00001-of-00002.safetensors', 'model-00002-of-00002.safetensors'];
    for (const name of names) files.write(`shards/${name}`, 'as it was');
    const before = await checkpointFingerprint(files.at('shards'));
    for (const name of names) {
      files.write(`shards/${name}`, 'other');
      expect(await checkpointFingerprint(files.at('shards'))).not.toBe(before);
      files.write(`shards/${name}`, 'as it was');
    }
    files.write('shards/README.md', 'other');
    expect(await checkpointFingerprint(files.at('shards'))).toBe(before);
  });

  it('predict wants one input, of the kind that the model reads', async () => {
    const ask = (...flags: string[]) => ['predict', '--checkpoint', files.at('base'), ...CPU, ...flags];
    await refused(ask(), /predict needs one of --text, --question, --data for a model that reads texts, got none/);
    await refused(ask('--image', 'a.png'), /for a model that reads texts, got --image/);
    await refused(ask('--text', 'the cat'), /--text must hold \[MASK\] for a model of masked tokens, got "the cat"/);
    await refused(ask('--text', 'a [MASK]', '--text', 'b [MASK]', '--text-pair', 'c'), /--text-pair must stand beside one --text, got 2/);
    await refused(['eval', '--checkpoint', files.at('base'), '--data', data, ...CPU], /--checkpoint must be a GPT, got a model that reads texts, such as BERT, in .*base: use predict/);
    await refused(['generate', '--checkpoint', files.at('base'), '--prompt', 'a', ...CPU], /--checkpoint must be a GPT, .*: use predict/);
    await refused(ask('--question', 'who'), /--question and --context must be given together, got --question alone/);
    await refused(ask('--data', data, '--out', 'a.xml'), /--out must end in \.jsonl, \.json, \.csv, \.tsv, got a\.xml/);
  });
});
