import { GPU_BACKEND } from '@evenkeel/core-tensor';
import { expectClose, forEachBackend, logSumExp64, randomArray } from '@evenkeel/testing';
import { add, backend, dispose, ones, scalar, softmax, tensor, zeros } from '@tensorflow/tfjs-core';
import { expect, it } from 'vitest';
import { run } from './run.ts';

const ATTRS = { ignoreIndex: -100, labelSmoothing: 0.1, zLoss: 0.01 };

forEachBackend([GPU_BACKEND], () => {
  it.each([5, 8])('a target that is none of %i classes gives NaN in its own row alone', async (classes) => {
    const targets = tensor([1, -1, classes, -100, 2 ** 31 - 1, 0], [6], 'int32');
    const logits = tensor(randomArray(6 * classes), [6, classes]);
    const [loss, lse] = run('crossEntropy', { logits, targets }, ATTRS);
    const [dlogits] = run('crossEntropyGrad', { logits, targets, lse: lse!, dy: ones([6]) }, ATTRS);
    const isNan = [false, true, true, false, true, false];
    expect([...await loss!.data()].map(Number.isNaN)).toEqual(isNan);
    expect([...await dlogits!.data()].map(Number.isNaN)).toEqual(isNan.flatMap((each) => Array<boolean>(classes).fill(each)));
    expect((await loss!.data())[3]).toBe(0);
    expect([...(await dlogits!.data()).slice(3 * classes, 4 * classes)].map(Math.abs)).toEqual(Array(classes).fill(0));
    dispose([logits, targets, loss!, lse!, dlogits!]);
  });

  it('probabilities are never stored: the loss of 500 rows of 2,000 classes takes no tensor of their size', async () => {
    const { pool } = backend() as unknown as { pool: { peakBytesUsed: number; numBytesUsed: number } };
    const [logits, targets] = [add(tensor(randomArray(1_000_000), [500, 2000]), 0), add(zeros([500], 'int32'), scalar(7, 'int32'))];
    await logits.data();
    pool.peakBytesUsed = pool.numBytesUsed;
    const before = pool.numBytesUsed;
    const results = run('crossEntropy', { logits, targets }, ATTRS);
    await results[0]!.data();
    expect(pool.peakBytesUsed - before).toBeLessThan(100_000);
    dispose([logits, targets, ...results]);
  });

  it('a class may be the one to be ignored', async () => {
    const inputs = { logits: tensor(randomArray(6), [2, 3]), targets: tensor([2, 0], [2], 'int32') };
    const [loss, lse] = run('crossEntropy', inputs, { ...ATTRS, ignoreIndex: 2 });
    const [ignored, counted] = await loss!.data();
    expect(ignored).toBe(0);
    expect(counted).toBeGreaterThan(0);
    dispose([inputs, loss!, lse!]);
  });

  it.each([[50_257, 1], [50_304, 30], [2000, 1e4]])('lse of %i logits of size %f is that of the float64 oracle, and softmax adds up to 1', async (classes, std) => {
    const values = randomArray(3 * classes, { std });
    const [logits, targets] = [tensor(values, [3, classes]), tensor([0, 1, 2], [3], 'int32')];
    const [loss, lse] = run('crossEntropy', { logits, targets }, ATTRS);
    await expectClose(lse!, logSumExp64(values, classes), { rtol: 1e-6, atol: 1e-6 });
    const probabilities = softmax(logits);
    const read = await probabilities.data() as Float32Array;
    for (const row of [0, 1, 2]) expect(read.subarray(row * classes, (row + 1) * classes).reduce((sum, each) => sum + each, 0)).toBeCloseTo(1, 5);
    dispose([logits, targets, loss!, lse!, probabilities]);
  });
});
