import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { readSafetensors } from '@evenkeel/checkpoint';
import { evenkeel, evenkeelJson, metricsOf } from './support/evenkeel.ts';
import { CPU, fineTuning } from './support/finetune.ts';
import { cifarBytes, imageFolders } from './support/images.ts';
import { killAfter } from './support/texts.ts';

const { files, data, jsonOf, predict } = fineTuning();

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
