import { join } from 'node:path';
import { readConll, readLabelledTexts, readSquad, readTable } from '@evenkeel/data';
import { describe, expect, it } from 'vitest';
import { directoryWith } from './helpers.ts';

const text = (content: string): Uint8Array => new TextEncoder().encode(content);
const file = (name: string, content: string): string => join(directoryWith({ [name]: text(content) }), name);

describe('readTable(path)', () => {
  it('reads CSV with quotes, commas and line breaks within fields, and says on which line a row begins', async () => {
    const table = await readTable(file('a.csv', 'text,label\r\n"a, ""b""",1\r\n"two\nlines",0\r\n\r\nlast,1\r\n'), { header: true });
    expect(table.columns).toEqual(['text', 'label']);
    expect(table.rows.map(({ fields }) => fields)).toEqual([['a, "b"', '1'], ['two\nlines', '0'], ['last', '1']]);
    expect(table.rows.map(({ line }) => line)).toEqual([2, 3, 6]);
  });

  it('reads TSV, in which quotes are text as any other, with or without names of columns', async () => {
    const { columns, rows } = await readTable(file('a.tsv', '"so" it is\t1\n\na\t0\n'), { header: ['text'] });
    expect([columns, rows]).toEqual([undefined, [{ fields: ['"so" it is', '1'], line: 1 }, { fields: ['a', '0'], line: 3 }]]);
    expect((await readTable(file('b.tsv', 'Text\tLabel\na\t0\n'), { header: ['text'] })).columns).toEqual(['Text', 'Label']);
  });

  it('reads lists of objects, as JSON and as JSON lines', async () => {
    const expected = [['a', '1'], ['b', 'true']];
    for (const path of [file('a.json', '[{"text":"a","label":1},{"label":true,"text":"b"}]'), file('b.json', '{"data":[{"text":"a","label":1},{"text":"b","label":true}]}'), file('c.jsonl', '{"text":"a","label":1}\n\n{"text":"b","label":true}\n')]) {
      const { columns, rows } = await readTable(path);
      expect([columns, rows.map(({ fields }) => fields)]).toEqual([['text', 'label'], expected]);
    }
  });

  it.each([
    ['a.tsv', 'a\t1\nb\n', /a\.tsv must have 2 fields in each row like the first, got 1 on line 2/],
    ['a.csv', 'text,label\n"open,1\n', /a\.csv must be CSV, got on line \d: Quote Not Closed/],
    ['a.jsonl', '{"text":"a"}\n{"text"\n', /a\.jsonl must be JSON on line 2, got [^(]* at column 8$/],
    ['a.jsonl', '{"text":"a"}\n{"label":1}\n', /a\.jsonl must have text in each object like the first, got label in line 2/],
    ['a.jsonl', '{"text":"a"}\n[1]\n', /a\.jsonl must hold objects, got a list in line 2/],
    ['a.json', '3', /a\.json must be a list of objects, or have one called data, got number/],
    ['a.json', '[]', /a\.json must have rows, got none/],
    ['a.csv', 'text,label\n', /a\.csv must have rows, got none/],
    ['a.csv', 'text,label,text\na,1,b\n', /a\.csv must have columns of different names, got text twice/],
  ])('names file and line of what is wrong in %s: %j', async (name, content, message) => {
    await expect(readTable(file(name, content), { header: name.endsWith('csv') })).rejects.toThrow(message);
  });
});

describe('readers of one file', () => {
  it.each([['readTable', readTable], ['readLabelledTexts', readLabelledTexts], ['readConll', readConll], ['readSquad', readSquad]] as const)('%s refuses a directory, and names it', async (_, read) => {
    const directory = directoryWith({ 'a.csv': text('text,label\na,1\n') });
    await expect(read(directory)).rejects.toThrow(`${directory} must be a file, got a directory`);
  });
});

describe('readLabelledTexts(path)', () => {
  it('finds the usual columns, or those that are named', async () => {
    const path = file('a.csv', 'id,premise,hypothesis,gold_label\n7,A,B,entailment\n');
    expect(await readLabelledTexts(path)).toEqual([{ text: 'A', pair: 'B', label: 'entailment', line: 2 }]);
    expect(await readLabelledTexts(path, { text: 'hypothesis', label: 'id' })).toEqual([{ text: 'B', label: '7', line: 2 }]);
  });

  it("finds both texts by the official names of GLUE's tasks", async () => {
    expect(await readLabelledTexts(file('qnli.tsv', 'index\tquestion\tsentence\tlabel\n0\tWhere?\tIn Rome.\tentailment\n'))).toEqual([{ text: 'Where?', pair: 'In Rome.', label: 'entailment', line: 2 }]);
    expect(await readLabelledTexts(file('mrpc.tsv', 'Quality\t#1 ID\t#2 ID\t#1 String\t#2 String\n1\t7\t8\tA\tB\n'))).toEqual([{ text: 'A', pair: 'B', label: '1', line: 2 }]);
    expect(await readLabelledTexts(file('qqp.tsv', 'id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate\n0\t1\t2\tA\tB\t0\n'))).toEqual([{ text: 'A', pair: 'B', label: '0', line: 2 }]);
    expect(await readLabelledTexts(file('other.csv', 'question,sentence,text,label\nq,s,t,1\n'))).toEqual([{ text: 't', label: '1', line: 2 }]);
  });

  it('takes null for no value, and refuses lists and objects in the columns that it reads', async () => {
    const second = (value: unknown, name: string) => readLabelledTexts(file('a.jsonl', [{ text: 'a', label: 1, meta: [1] }, { text: 'b', label: 0, meta: {}, [name]: value }].map((each) => JSON.stringify(each)).join('\n')));
    expect(await second(null, 'meta')).toHaveLength(2);
    await expect(second(null, 'label')).rejects.toThrow(/a\.jsonl must have a label in each row, got none on line 2/);
    await expect(second(null, 'text')).rejects.toThrow(/a\.jsonl must have a text in each row, got none on line 2/);
    await expect(second(['b'], 'text')).rejects.toThrow(/a\.jsonl must have a text in each row, got a list or an object on line 2/);
  });

  it('does not take the second text of a pair for a label', async () => {
    await expect(readLabelledTexts(file('a.tsv', 'one film\tfine\nA\tB is so\n'), { unlabelled: true })).rejects.toThrow(/a\.tsv must name its columns in the first row where two have several words/);
    expect(await readLabelledTexts(file('b.tsv', 'a fine film\t1\n'), { unlabelled: true })).toMatchObject([{ text: 'a fine film' }]);
  });

  it("knows GLUE's layouts without names of columns: of SST-2, of pairs, and of CoLA", async () => {
    expect(await readLabelledTexts(file('a.tsv', 'fine film\t1\n'))).toEqual([{ text: 'fine film', label: '1', line: 1 }]);
    expect(await readLabelledTexts(file('b.tsv', 'A\tB\t0\n'))).toEqual([{ text: 'A', pair: 'B', label: '0', line: 1 }]);
    expect(await readLabelledTexts(file('c.tsv', 'gj04\t0\t*\tThey drunk it.\n'))).toEqual([{ text: 'They drunk it.', label: '0', line: 1 }]);
    expect(await readLabelledTexts(file('e.csv', 'a,good\nb,bad\nc,good\nd,bad\n'))).toHaveLength(4);
    expect(await readLabelledTexts(file('f.csv', 'a,rare\nb,bad\nc,good\n'))).toHaveLength(3); // all are rare
    expect(await readLabelledTexts(file('d.txt', 'one\ntwo\n'), { unlabelled: true })).toEqual([{ text: 'one', line: 1 }, { text: 'two', line: 2 }]);
  });

  it.each([
    ['text,points\na,1\n', {}, /a\.csv must have a column of labels, such as label, labels, class, got text, points/],
    ['body,label\na,1\n', {}, /a\.csv must have a column of texts, such as text, sentence, sentence1, got body, label/],
    ['text,label\na,1\n', { text: 'review' }, /a\.csv must have the column review, got text, label/],
    ['text,label\na,1\n,0\n', {}, /a\.csv must have a text in each row, got none on line 3/],
    ['text,label\na,\n', {}, /a\.csv must have a label in each row, got none on line 2/],
    ['opinion,verdict\na,good\nb,bad\nc,good\nd,bad\n', {}, /a\.csv must say which of its columns is a column of texts and which a column of labels, got a first row that looks like names \(opinion, verdict\): its label is on no other line/],
    ['text;label\na;1\n', { text: 'text' }, /a\.csv must have the column text, got text;label; its fields must have commas between them, the first line has ";"$/],
    ['body;label\na;1\n', {}, /got 1; its fields must have commas between them, the first line has ";"$/],
    ['a,b,c,d,e\n', {}, /a\.csv must name its columns in the first row, or have two .* got 5/],
  ])('names the columns that are there, and the line: %j', async (content, options, message) => {
    await expect(readLabelledTexts(file('a.csv', content), options)).rejects.toThrow(message);
  });
});

describe('readConll(path)', () => {
  it('reads words and the tags of the last column, sentence by sentence', async () => {
    const sentences = await readConll(file('a.conll', '-DOCSTART- -X- O\n\nEU NNP B-ORG\nrejects VBZ O\n\n\nPeter\tB-PER\n'));
    expect(sentences).toEqual([{ words: ['EU', 'rejects'], tags: ['B-ORG', 'O'], line: 3 }, { words: ['Peter'], tags: ['B-PER'], line: 7 }]);
  });

  it('names a line with one column, and a file without sentences', async () => {
    await expect(readConll(file('a.conll', 'EU B-ORG\nrejects\n'))).rejects.toThrow(/a\.conll must have a word and a tag on each line, got one column on line 2/);
    await expect(readConll(file('b.conll', '\n-DOCSTART- O\n'))).rejects.toThrow(/b\.conll must have sentences, got none/);
  });
});
