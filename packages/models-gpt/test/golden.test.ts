import { readFileSync } from 'node:fs';
import { dispose, tensor2d, tidy, transpose, type Tensor, type Tensor2D } from '@tensorflow/tfjs-core';
import { describe, expect, it } from 'vitest';
import { treeEntries, valueAndGrad, type Tree } from '@evenkeel/core-tensor';
import { gpt2Names, loadGpt, type Gpt } from '@evenkeel/models-gpt';
import { adamw, applyUpdates, chain, clipByGlobalNorm, decayMask } from '@evenkeel/optimizers';
import { expectClose, forEachBackend } from '@evenkeel/testing';

type Stored = { shape: number[]; values: number[] };
type Golden = {
  header: { regenerate: string };
  tokens: number[][];
  logits: Stored;
  loss: number;
  gradients: Record<string, Stored>;
  training: {
    options: { learningRate: number; beta1: number; beta2: number; eps: number; weightDecay: number; clip: number };
    batches: number[][][];
    losses: number[];
    finalParameters: Record<string, Stored>;
  };
};

const golden = JSON.parse(readFileSync(`${import.meta.dirname}/golden/gpt2-tiny.json`, 'utf8')) as Golden;
const directory = (name: string): string => `${import.meta.dirname}/golden/${name}`;
const ids = (rows: number[][]): Tensor2D => tensor2d(rows, [rows.length, rows[0]!.length], 'int32');
const batchOf = (rows: number[][]) => ({ inputs: ids(rows.map((row) => row.slice(0, -1))), targets: ids(rows.map((row) => row.slice(1))) });

/** Relative to the largest value of the tensor: the measure of "1e-5 relative" for whole tensors. */
async function expectRelative(actual: Tensor, expected: Stored, tolerance: number): Promise<void> {
  expect(actual.shape).toEqual(expected.shape);
  const largest = expected.values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  await expectClose(actual, Float64Array.from(expected.values), { rtol: 0, atol: tolerance * largest });
}

/** Each parameter or gradient in GPT-2's layout, by GPT-2's name. */
function byName(model: Gpt, tree: unknown): [name: string, tensor: Tensor][] {
  const byPath = new Map(treeEntries<Tensor>(tree as Tree<Tensor>));
  return gpt2Names(model.config).map(({ path, name, transposed }) => [name, transposed ? transpose(byPath.get(path)!) : byPath.get(path)!]);
}

forEachBackend(() => {
  describe(`a GPT-2 written by PyTorch (${golden.header.regenerate})`, () => {
    it.each(['gpt2-tiny', 'gpt2-tiny-old'])('loadGpt(%s) gives PyTorch\'s logits and loss to 1e-5', async (name) => {
      const { model, params } = await loadGpt(directory(name));
      const logits = model.apply(ids(golden.tokens), params);
      await expectRelative(logits, golden.logits, 1e-5);
      const loss = model.loss(batchOf(golden.tokens), params);
      expect(Math.abs((await loss.data())[0]! / golden.loss - 1)).toBeLessThan(1e-5);
      dispose([params as never, logits, loss]);
    });

    it('valueAndGrad gives PyTorch\'s gradient of every parameter to 1e-5', async () => {
      const { model, params } = await loadGpt(directory('gpt2-tiny'));
      const { grads } = valueAndGrad((p) => model.loss(batchOf(golden.tokens), p), params);
      const found = byName(model, grads);
      expect(found.map(([name]) => name).sort()).toEqual(Object.keys(golden.gradients).sort());
      for (const [name, grad] of found) await expectRelative(grad, golden.gradients[name]!, 1e-5);
      dispose([params, grads] as never);
    });

    it('ten steps of clipped AdamW follow PyTorch\'s losses to 1e-4 and end at its parameters', async () => {
      const { model, params } = await loadGpt(directory('gpt2-tiny'));
      const { clip, ...options } = golden.training.options;
      const optimizer = chain(clipByGlobalNorm(clip), adamw({ ...options, mask: decayMask(model.specs) }));
      const variables = params;
      const state = optimizer.init(variables);
      for (const [step, rows] of golden.training.batches.entries()) {
        const loss = tidy(() => {
          const { value, grads } = valueAndGrad((p) => model.loss(batchOf(rows), p), params);
          applyUpdates(variables, optimizer.update(grads, state, variables));
          return value;
        });
        expect(Math.abs((await loss.data())[0]! / golden.training.losses[step]! - 1)).toBeLessThan(1e-4);
      }
      const final = new Map(byName(model, params));
      for (const [name, expected] of Object.entries(golden.training.finalParameters)) await expectRelative(final.get(name)!, expected, 1e-4);
    });
  });
});
