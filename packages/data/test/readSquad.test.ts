import { join } from 'node:path';
import { readSquad } from '@evenkeel/data';
import { describe, expect, it } from 'vitest';
import { directoryWith } from './helpers.ts';

const context = 'Snow 🙂 fell on the Alps.';
const qa = (answers: unknown[], fields: object = {}) => ({ id: 'q1', question: 'Where?', answers, ...fields });
const fileOf = (...qas: unknown[]) => ({ version: '1.1', data: [{ title: 'Weather', paragraphs: [{ context, qas }] }] });

describe('readSquad', () => {
  it('reads questions with their contexts, from a file and from parsed JSON', async () => {
    const json = fileOf(qa([{ text: 'the Alps', answer_start: 15 }, { text: 'Snow', answer_start: 0 }]), { ...qa([]), id: 'q2', is_impossible: true });
    const path = join(directoryWith({ 'train.json': JSON.stringify(json) }), 'train.json');
    const examples = await readSquad(path);
    expect(examples).toEqual([
      { id: 'q1', title: 'Weather', question: 'Where?', context, answers: [{ text: 'the Alps', start: 16 }, { text: 'Snow', start: 0 }] },
      { id: 'q2', title: 'Weather', question: 'Where?', context, answers: [] },
    ]);
    expect(await readSquad(json)).toEqual(examples);
  });

  it('counts code units where the file counts code points', async () => {
    const [example] = await readSquad(fileOf(qa([{ text: 'fell', answer_start: 7 }])));
    const { text, start } = example!.answers[0]!;
    expect(context.slice(start, start + text.length)).toBe('fell');
  });

  it('reads a file with a byte order mark, and questions without answers where none are wanted', async () => {
    const { answers: _, ...open } = qa([]);
    const path = join(directoryWith({ 'test.json': `\uFEFF${JSON.stringify(fileOf(open))}` }), 'test.json');
    expect(await readSquad(path, { unlabelled: true })).toMatchObject([{ id: 'q1', question: 'Where?', answers: [] }]);
    expect(await readSquad(fileOf(qa([{ text: 'Alps', answer_start: 99 }])), { unlabelled: true })).toMatchObject([{ answers: [] }]);
    await expect(readSquad(path)).rejects.toThrow('qas[0] must have answers, a list, got "id, question"');
  });

  it('names the file and the place of what is wrong', async () => {
    const directory = directoryWith({ 'broken.json': '{"data":' });
    await expect(readSquad(join(directory, 'broken.json'))).rejects.toThrow(`readSquad: ${join(directory, 'broken.json')} must be a JSON file, got`);
    await expect(readSquad(join(directory, 'none.json'))).rejects.toThrow('none.json must be a JSON file, got no such file');
    await expect(readSquad({ rows: [] })).rejects.toThrow('readSquad: the source must have data, a list, got "rows"');
    await expect(readSquad({ data: [{ paragraphs: {} }] })).rejects.toThrow('readSquad: the source: data[0]: paragraphs must be a list, got an object');
    await expect(readSquad({ data: [7] })).rejects.toThrow('readSquad: the source: data[0] must be an object with paragraphs, got "7"');
    await expect(readSquad(fileOf(qa([]), qa([], { id: 2 })))).rejects.toThrow('data[0]: paragraphs[0]: qas[1]: id must be text, got "2"');
    await expect(readSquad(fileOf(qa([{ text: 'Alps', answer_start: 15 }])))).rejects.toThrow(
      'readSquad: the source: data[0]: paragraphs[0]: qas[0]: answers[0]: text must stand at 15 of the context, "Alps", got "the "');
    await expect(readSquad(fileOf(qa([{ text: 'Alps', answer_start: -1 }])))).rejects.toThrow('answer_start must be a position in the context, got "-1"');
  });
});
