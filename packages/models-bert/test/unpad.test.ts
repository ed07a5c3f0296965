import { dispose, mul, reshape, sum, tensor, tensor1d, tensor2d, tidy, type Scalar, type Tensor } from '@tensorflow/tfjs-core';
import { describe, expect, it } from 'vitest';
import { randomNormal, treeEntries, valueAndGrad, type Tree } from '@evenkeel/core-tensor';
import { bert, bertWithHead, classificationHead, maskedLmHead, mosaicBert, padInput, unpadBatch, unpadIndices, unpadInput } from '@evenkeel/models-bert';
import { expectClose, expectNoLeak, forEachBackend } from '@evenkeel/testing';

const mask = Int32Array.of(1, 1, 1, 0, 0, 1, 0, 0, 0, 0, 1, 1, 1, 1, 1);
const shape = [3, 5] as const;
const ids = Int32Array.from({ length: 15 }, (_, i) => (mask[i] === 1 ? 3 + ((7 * i) % 17) : 0));
const sizes = { vocabSize: 20, depth: 2, dim: 8, numHeads: 2, contextLength: 8 };
const padded = () => ({ ids: tensor2d(ids, [3, 5], 'int32'), mask: tensor2d(mask, [3, 5], 'int32') });
const unpadded = () => {
  const { ids: tokens, cuSeqlens, indices } = unpadBatch({ ids, mask, shape });
  return { inputs: { ids: tensor1d(tokens, 'int32'), cuSeqlens }, indices };
};
const gradsOf = (grads: unknown) => treeEntries<Tensor>(grads as Tree<Tensor>);

describe('unpadIndices', () => {
  it('unpadIndices(mask) gives positions, boundaries and the longest length; an empty row has none', () => {
    expect(unpadIndices([1, 1, 0, 0, 0, 0, 1, 0, 1], [3, 3])).toEqual({ indices: Int32Array.of(0, 1, 6, 8), cuSeqlens: [0, 2, 2, 4], maxSeqlen: 2 });
  });

  it('unpadIndices names a mask of another size and one of padding alone', () => {
    expect(() => unpadIndices([1, 1], [2, 2])).toThrow('unpadIndices: mask must have 4 numbers, 2 × 2, got 2');
    expect(() => unpadIndices([0, 0], [1, 2])).toThrow('mask must leave at least one token, got padding alone');
  });

  it('unpadBatch keeps the share of the tokens that are no padding', () => {
    const batch = unpadBatch({ ids, mask, shape, tokenTypes: mask });
    expect(batch.ids.length).toBe(9);
    expect(Array.from(batch.tokenTypes!)).toEqual(Array(9).fill(1));
  });
});

forEachBackend(() => {
  describe('padInput and unpadInput', () => {
    it('padInput(unpadInput(x)) is x at tokens and 0 elsewhere; unpadInput(padInput(y)) is y', async () => {
      const x = randomNormal([3, 5, 4], { seed: 1 });
      const { tokens, indices, cuSeqlens, maxSeqlen } = unpadInput(x, mask);
      expect([tokens.shape, cuSeqlens, maxSeqlen]).toEqual([[9, 4], [0, 3, 4, 9], 5]);
      const back = padInput(tokens, indices, 3, 5);
      await expectClose(back, tidy(() => mul(x, tensor(Array.from(mask), [3, 5, 1]))), { rtol: 0, atol: 0 });
      await expectClose(unpadInput(back, mask).tokens, tokens, { rtol: 0, atol: 0 });
    });

    it('the gradients of padInput and unpadInput are each other', async () => {
      const [x, weights] = [randomNormal([3, 5, 4], { seed: 1 }), randomNormal([9, 4], { seed: 2 })];
      const { indices } = unpadInput(x, mask);
      const { grads } = valueAndGrad((p) => sum(mul(unpadInput(p as Tensor, mask).tokens, weights)) as Scalar, x as never);
      await expectClose(grads as unknown as Tensor, padInput(weights, indices, 3, 5), { rtol: 0, atol: 0 });
      const back = valueAndGrad((p) => sum(mul(padInput(p as Tensor, indices, 3, 5), x)) as Scalar, weights as never);
      await expectClose(back.grads as unknown as Tensor, unpadInput(x, mask).tokens, { rtol: 0, atol: 0 });
    });

    it('unpadInput of one full row changes nothing, and both leak nothing', async () => {
      const x = randomNormal([1, 4, 2], { seed: 1 });
      await expectClose(unpadInput(x, [1, 1, 1, 1]).tokens, await x.data(), { rtol: 0, atol: 0 });
      const tokens = reshape(x, [4, 2]);
      await expectNoLeak(() => padInput(tokens, [0, 1, 2, 3], 2, 2));
      await expectNoLeak(() => unpadInput(x, [1, 1, 0, 1]).tokens);
      expect(() => padInput(tokens, [0], 1, 4)).toThrow('padInput: indices must be as many as the 4 tokens, got 1');
    });
  });

  describe('a model without padding', () => {
    it.each([['bert', bert(sizes)], ['mosaicBert', mosaicBert(sizes)]] as const)('%s gives at every token what it gives with padding', async (_, encoder) => {
      const params = encoder.init({ seed: 1 });
      const { inputs, indices } = unpadded();
      const [full, packed] = [encoder.apply(padded(), params), encoder.apply(inputs, params)];
      expect(packed.shape).toEqual([9, 8]);
      await expectClose(packed, unpadInput(full, mask).tokens, { rtol: 1e-4, atol: 1e-5 });
      expect(indices.length).toBe(9);
    });

    it.each([['bert', bert(sizes)], ['mosaicBert', mosaicBert(sizes)]] as const)('%s has the same loss and gradients with padding, without, and with masked rows alone', async (_, encoder) => {
      const model = bertWithHead(encoder, maskedLmHead());
      const params = model.init({ seed: 1 });
      const labels = Int32Array.from(ids, (id, i) => (mask[i] === 1 && i % 3 !== 1 ? id : -100));
      const { inputs, indices } = unpadded();
      const kept = indices.map((index) => labels[index]!);
      const rows = Array.from(kept.entries()).filter(([, label]) => label !== -100).map(([row]) => row);
      const batches = [
        { ...padded(), labels: tensor2d(labels, [3, 5], 'int32') },
        { ...inputs, labels: tensor1d(kept, 'int32') },
        { ...inputs, labels: tensor1d(rows.map((row) => kept[row]!), 'int32'), rows: tensor1d(rows, 'int32') },
        { ...padded(), labels: tensor1d(rows.map((row) => kept[row]!), 'int32'), rows: tensor1d(rows.map((row) => indices[row]!), 'int32') },
      ];
      const [first, ...others] = batches.map((batch) => valueAndGrad((p) => model.loss(batch, p as never), params));
      for (const other of others) {
        await expectClose(other.value, first!.value, { rtol: 1e-5, atol: 1e-5 });
        const expected = new Map(gradsOf(first!.grads));
        for (const [path, grad] of gradsOf(other.grads)) await expectClose(grad, expected.get(path)!, { rtol: 0, atol: 1e-4 });
      }
    });

    it('a classifier reads the first token of each sequence without padding', async () => {
      const model = bertWithHead(bert(sizes), classificationHead({ numClasses: 3 }));
      const params = model.init({ seed: 1 });
      const [a, b] = [model.apply(padded(), params), model.apply(unpadded().inputs, params)];
      expect(b.shape).toEqual([3, 3]);
      await expectClose(b, a, { rtol: 1e-4, atol: 1e-6 });
      dispose([a, b, params] as never);
    });
  });
});
