import { valueAndGrad } from '@evenkeel/core-tensor';
import { embedding } from '@evenkeel/layers';
import { checkOpGrad, expectClose, expectNoLeak, forEachBackend, randomIntegers, randomTensor } from '@evenkeel/testing';
import { dispose, sum, tensor, zeros, type Tensor } from '@tensorflow/tfjs-core';
import { describe, expect, it } from 'vitest';

/** weight[ids] in float64: `v c` and ids of any shape, flat. */
const embedding64 = (weight: ArrayLike<number>, ids: ArrayLike<number>, dim: number): Float64Array =>
  Float64Array.from({ length: ids.length * dim }, (_, i) => weight[ids[Math.floor(i / dim)]! * dim + (i % dim)]!);

forEachBackend(() => {
  it.each([[[1], 1, 1], [[3], 65, 3], [[5, 13], 7, 65], [[2, 3, 4], 130, 1]] as [number[], number, number][])(
    'embedding(ids %j) of %i rows of %i channels gathers them exactly', async (shape, vocabSize, dim) => {
      const ids = randomIntegers(shape.reduce((a, b) => a * b), vocabSize);
      const [idTensor, weight] = [tensor(ids, shape, 'int32'), randomTensor([vocabSize, dim])];
      const y = embedding(idTensor, { weight });
      expect(y.shape).toEqual([...shape, dim]);
      await expectClose(y, embedding64(await weight.data(), ids, dim), { rtol: 0, atol: 0 });
      dispose([idTensor, weight, y]);
    });

  it('embedding(ids) of one id gives one row', async () => {
    const [id, weight] = [tensor(1, [], 'int32'), tensor([[1, 2], [3, 4]])];
    const y = embedding(id, { weight });
    await expectClose(y, [3, 4]);
    dispose([id, weight, y]);
  });

  it('the gradient of embedding matches finite differences and adds up over equal ids', async () => {
    const ids = Int32Array.of(2, 0, 2, 2, 4, 0);
    const [idTensor, weight] = [tensor(ids, [2, 3], 'int32'), randomTensor([5, 3]) as Tensor];
    await checkOpGrad<'weight'>({
      op: (p) => embedding(idTensor, { weight: p.weight }), oracle64: (p) => embedding64(p.weight, ids, 3), inputs: { weight },
    });
    const { value, grads } = valueAndGrad((p: { weight: Tensor }) => sum(embedding(idTensor, p)), { weight });
    await expectClose(grads.weight, [[2, 2, 2], [0, 0, 0], [3, 3, 3], [0, 0, 0], [1, 1, 1]]);
    dispose([idTensor, weight, value, grads.weight]);
  });

  it('the gradient of embedding is right for many ids in a large table', async () => {
    const ids = randomIntegers(2000, 130);
    const [idTensor, weight] = [tensor(ids, [40, 50], 'int32'), randomTensor([130, 65]) as Tensor];
    const { value, grads } = valueAndGrad((p: { weight: Tensor }) => sum(embedding(idTensor, p)), { weight });
    const counts = new Float32Array(130);
    ids.forEach((id) => { counts[id]! += 1; });
    await expectClose(grads.weight, Float32Array.from({ length: 130 * 65 }, (_, i) => counts[Math.floor(i / 65)]!));
    dispose([idTensor, weight, value, grads.weight]);
  });

  it('embedding(ids) adds one tensor and frees the rest, also on error and in gradients', async () => {
    const [ids, weight] = [tensor([0, 1], [2], 'int32'), randomTensor([3, 4]) as Tensor];
    await expectNoLeak(() => embedding(ids, { weight }));
    await expectNoLeak(() => embedding(weight, { weight }), { throws: 'embedding: ids must have dtype int32, got float32' });
    await expectNoLeak(() => valueAndGrad((p: { weight: Tensor }) => sum(embedding(ids, p)), { weight }));
    dispose([ids, weight]);
  });

  it.each([-1, 3])('embedding([%i]) of 3 rows throws or gives NaN, never some other row', async (id) => {
    const [ids, weight] = [tensor([id], [1], 'int32'), randomTensor([3, 4])];
    let y: Tensor | undefined;
    try {
      y = embedding(ids, { weight });
    } catch (error) {
      expect(String(error)).toContain(String(id));
    }
    if (y !== undefined) expect(Array.from(await y.data()).every(Number.isNaN)).toBe(true);
    dispose([ids, weight]);
    y?.dispose();
  });
});

describe('embedding', () => {
  it('embedding(ids) refuses a weight that is no matrix', () => {
    const [ids, weight] = [zeros([2], 'int32'), zeros([2, 3, 4])];
    expect(() => embedding(ids, { weight })).toThrow('embedding: weight must have rank 2, got shape [2, 3, 4]');
    dispose([ids, weight]);
  });
});
