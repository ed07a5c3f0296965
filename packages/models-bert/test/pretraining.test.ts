import { dispose, type Tensor, type TensorContainer } from '@tensorflow/tfjs-core';
import { describe, expect, it } from 'vitest';
import { joinPair, maskedBatch, maskTokens, nextSentencePairs, specialTokens } from '@evenkeel/models-bert';

const options = { maskId: 4, vocabSize: 1000, specials: [0, 2, 3], seed: 1 };
/** Ten thousand sequences of ten: [CLS], seven words, [SEP], [PAD]. */
const ids = Int32Array.from({ length: 100_000 }, (_, i) => [2, 0, 0, 0, 0, 0, 0, 0, 3, 0][i % 10]! || (i % 10 === 9 ? 0 : 5 + ((i * 7919) % 900)));

describe('maskTokens', () => {
  it.each([0.15, 0.3])('maskTokens({ prob: %d }) chooses that share of the tokens that are no specials, and does 80/10/10 with them', (prob) => {
    const { ids: masked, labels, rows } = maskTokens(ids, { ...options, prob });
    const real = ids.filter((id) => ![0, 2, 3].includes(id)).length;
    expect(Math.abs(rows.length - prob * real)).toBeLessThan(3 * Math.sqrt(real * prob * (1 - prob)));
    const share = (which: (row: number) => boolean): number => rows.filter(which).length / rows.length;
    expect(Math.abs(share((row) => masked[row] === 4) - 0.8)).toBeLessThan(0.015);
    expect(Math.abs(share((row) => masked[row] === ids[row]) - 0.1)).toBeLessThan(0.015);
    expect(Math.abs(share((row) => masked[row] !== ids[row] && masked[row] !== 4) - 0.1)).toBeLessThan(0.015);
    expect(Array.from(rows)).toEqual(Array.from(labels.entries()).filter(([, label]) => label !== -100).map(([row]) => row));
    expect(rows.every((row) => labels[row] === ids[row])).toBe(true);
  });

  it('maskTokens never chooses specials and changes nothing that it has not chosen', () => {
    const { ids: masked, labels } = maskTokens(ids, options);
    expect(ids.filter((id, i) => [0, 2, 3].includes(id) && labels[i] !== -100).length).toBe(0);
    expect(ids.filter((id, i) => labels[i] === -100 && masked[i] !== id).length).toBe(0);
  });

  it('maskTokens draws the same for the same seed, other tokens for another, and nothing or everything where prob says so', () => {
    const rowsOf = (seed: number, prob = 0.15) => Array.from(maskTokens(ids.slice(0, 1000), { ...options, seed, prob }).rows);
    expect(rowsOf(1)).toEqual(rowsOf(1));
    expect(rowsOf(1)).not.toEqual(rowsOf(2));
    expect(rowsOf(1, 0)).toEqual([]);
    expect(rowsOf(1, 1).length).toBe(700);
  });

  it('maskTokens names a share or an id out of range', () => {
    expect(() => maskTokens(ids, { ...options, prob: 1.5 })).toThrow('maskTokens: prob must be between 0 and 1, got 1.5');
    expect(() => maskTokens(ids, { ...options, maskId: 1000 })).toThrow('maskTokens: maskId must be below vocabSize, got 1000 and 1000');
  });
});

const specials = { clsId: 2, sepId: 3 };

describe('joinPair', () => {
  it('joinPair(a, b) has segment 0 up to the first [SEP] and 1 after it, and shortens the longer one', () => {
    const { ids: joined, tokenTypes } = joinPair([5, 6], [7, 8, 9, 10], { ...specials, maxLength: 8 });
    expect(Array.from(joined)).toEqual([2, 5, 6, 3, 7, 8, 9, 3]);
    expect(Array.from(tokenTypes)).toEqual([0, 0, 0, 0, 1, 1, 1, 1]);
    expect(Array.from(joinPair([5, 6, 7], undefined, { ...specials, maxLength: 4 }).ids)).toEqual([2, 5, 6, 3]);
    expect(() => joinPair([5], [6], { ...specials, maxLength: 3 })).toThrow('joinPair: maxLength must be an integer ≥ 4, got 3');
  });
});

describe('nextSentencePairs', () => {
  const documents = Array.from({ length: 300 }, (_, document) => Array.from({ length: 2 + (document % 7) }, (_, sentence) => Array.from({ length: 3 + (sentence % 4) }, (_, i) => 100 * document + 10 * sentence + i + 1000)));
  const pairs = nextSentencePairs(documents, { ...specials, maxLength: 24, seed: 1 });
  const documentOf = (id: number): number => Math.floor((id - 1000) / 100);

  it('nextSentencePairs makes as many pairs that follow as pairs that do not, within 2 %', () => {
    const random = pairs.filter(({ label }) => label === 1).length;
    expect(Math.abs(random / pairs.length - 0.5)).toBeLessThan(0.02);
    expect(pairs.length).toBeGreaterThan(300);
  });

  it('nextSentencePairs takes B from another document where the label is 1, and from the same, right behind A, where it is 0', () => {
    for (const { ids: joined, tokenTypes, label, documents: [a, b] } of pairs) {
      const tokens = Array.from(joined);
      expect(tokens.length).toBeLessThanOrEqual(24);
      const [first, second] = [0, 1].map((type) => tokens.filter((id, i) => tokenTypes[i] === type && id >= 1000));
      expect(first!.every((id) => documentOf(id) === a)).toBe(true);
      expect(second!.length).toBeGreaterThan(0);
      expect(second!.every((id) => documentOf(id) === b)).toBe(true);
      expect(a === b).toBe(label === 0);
      if (label === 0) expect(second![0]! > first!.at(-1)!).toBe(true);
    }
  });

  it('nextSentencePairs is the same for the same seed, and names documents that cannot be paired', () => {
    expect(nextSentencePairs(documents, { ...specials, maxLength: 24, seed: 1 })).toEqual(pairs);
    expect(nextSentencePairs(documents, { ...specials, maxLength: 24, seed: 2 })).not.toEqual(pairs);
    expect(() => nextSentencePairs([[[5]]], { ...specials, maxLength: 8, seed: 1 })).toThrow('documents must be at least 2, got 1');
    expect(() => nextSentencePairs([[[5]], []], { ...specials, maxLength: 8, seed: 1 })).toThrow('documents must have sentences, got none in document 1');
  });
});

describe('maskedBatch', () => {
  const sequences = [Int32Array.of(2, 11, 12, 13, 3), Int32Array.of(2, 14, 3)];
  const all = { ...options, padId: 0, prob: 1, maskId: 4 };

  it('has the rows of what is masked and their labels, with padding, to a length, and without', async () => {
    for (const [form, shape] of [[{}, [2, 5]], [{ length: 8 }, [2, 8]], [{ unpadded: true }, [8]]] as const) {
      const { batch, rows, labels } = maskedBatch(sequences, { ...all, ...form });
      expect([batch.ids.shape, rows.length, labels.length]).toEqual([shape, 4, batch.ids.size]);
      expect(Array.from(await batch.labels.data())).toEqual([11, 12, 13, 14]);
      expect(Array.from(await (batch.rows as Tensor).data())).toEqual(Array.from(rows));
      dispose(batch as unknown as TensorContainer);
    }
  });

  it('has with everyLabel a label for each position, so that all batches of one length have one shape', async () => {
    const { batch } = maskedBatch(sequences, { ...all, length: 6, everyLabel: true });
    expect([batch.labels.shape, batch.rows]).toEqual([[2, 6], undefined]);
    expect(await batch.labels.array()).toEqual([[-100, 11, 12, 13, -100, -100], [-100, 14, -100, -100, -100, -100]]);
    dispose(batch as unknown as TensorContainer);
  });

  it('masks at least one token, the same ones for one seed, and refuses sequences in which nothing can be masked', () => {
    const rowsOf = (seed: number): number[] => {
      const { batch, rows } = maskedBatch(sequences, { ...all, prob: 0.01, seed });
      dispose(batch as unknown as TensorContainer);
      return Array.from(rows);
    };
    for (let seed = 0; seed < 20; seed++) expect([rowsOf(seed).length > 0, rowsOf(seed)]).toEqual([true, rowsOf(seed)]);
    expect(() => maskedBatch([Int32Array.of(2, 0, 3)], all)).toThrow('maskedBatch: sequences must hold tokens that can be masked, got special tokens alone');
  });
});

it("specialTokens knows BERT's and RoBERTa's, and says where it does not find them", () => {
  const of = (...names: string[]) => ({ tokenToId: (name: string) => (names.includes(name) ? names.indexOf(name) : undefined) });
  expect(specialTokens(of('[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]'))).toEqual({ padId: 0, unkId: 1, clsId: 2, sepId: 3, maskId: 4 });
  expect(specialTokens(of('<s>', '<pad>', '</s>'))).toEqual({ clsId: 0, padId: 1, sepId: 2 });
  expect(() => specialTokens(of('[CLS]'), 'a.json')).toThrow('the tokenizer must have [CLS], [SEP] and [PAD], or <s>, </s> and <pad>, got not all of them in a.json');
});
