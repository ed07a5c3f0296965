import { cpSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { checkpointFingerprint } from '../src/finetune/fingerprint.ts';
import { readClassExamples } from '../src/finetune/textExamples.ts';
import { evenkeel, evenkeelJson } from './support/evenkeel.ts';
import { CPU, fineTuning } from './support/finetune.ts';
import { labelled } from './support/texts.ts';

const { files, data, tune } = fineTuning();

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

  it('predict says what is missing beside adapters of others', async () => {
    files.write('peft/adapter_config.json', JSON.stringify({ base_model_name_or_path: files.at('base'), r: 4 }));
    await refused(['predict', '--checkpoint', files.at('peft'), '--text', 'a'], /peft must hold adapter_head\.json, as finetune --lora writes it, got adapters that do not say what their head is for$/m);
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
