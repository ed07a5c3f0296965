import { captureStep, treeEntries, unrecorded, valueAndGrad, type Observe, type Params, type Seed, type Tree } from '@evenkeel/core-tensor';
import { gpt } from '@evenkeel/models-gpt';
import { adamw, applyUpdates } from '@evenkeel/optimizers';
import { forEachBackend, randomIntegers } from '@evenkeel/testing';
import { dispose, keep, max, mean, tensor2d, type Tensor, type Tensor2D } from '@tensorflow/tfjs-core';
import { expect, it } from 'vitest';

type Run = { losses: number[]; values: [string, Float32Array][]; told: Set<string>; watched: number[] };
type Batch = { inputs: Tensor2D; targets: Tensor2D };

const ids = (seed: number): Tensor2D => tensor2d(randomIntegers(3 * 67, 13, seed), [3, 67], 'int32');

/** Losses of a few steps, captured where the device can, and the parameters after them; `told` are the names that were observed. */
async function run(isWatched: boolean): Promise<Run> {
  const model = gpt({ vocabSize: 13, contextLength: 67, depth: 2, dim: 12, numHeads: 4, numKvHeads: 2, dropout: 0.1 });
  const params = model.init({ seed: 1 });
  const optimizer = adamw({ learningRate: 0.01 });
  const state = optimizer.init(params);
  const told = new Set<string>();
  const step = captureStep((batch: Batch, { seed }: { seed: Seed }) => {
    const watched: Tensor[] = [];
    const observe: Observe = (name, value) => {
      told.add(name);
      if (name.endsWith('entropy')) watched.push(keep(unrecorded(() => mean(value))));
      if (name.endsWith('rowMax')) watched.push(keep(unrecorded(() => max(value))));
    };
    const { value, grads } = valueAndGrad((p) => model.loss(batch, p, { train: true, seed, ...(isWatched && { observe }) }), params);
    applyUpdates(params, optimizer.update(grads as Tree<Tensor>, state, params));
    return { loss: value, watched };
  });
  const batch = { inputs: ids(1), targets: ids(2) };
  const losses: number[] = [];
  let seen: number[] = [];
  for (let seed = 0; seed < 6; seed++) {
    const { loss, watched } = step(batch, { seed });
    losses.push((await loss.data())[0] as number);
    seen = await Promise.all(watched.map(async (each) => (await each.data())[0] as number));
    dispose([loss, watched]);
  }
  step.dispose();
  const leaves = treeEntries(params as unknown as Params);
  const trained = await Promise.all(leaves.map(async ([path, leaf]) => [path, Float32Array.from(await leaf.data())] as [string, Float32Array]));
  dispose([params, state, batch] as never);
  return { losses, told, watched: seen, values: trained };
}

forEachBackend(() => {
  it('a training run of gpt whose attention is watched has the losses and parameters of one that is not, bit for bit', async () => {
    const [plain, watched] = [await run(false), await run(true)];
    expect(plain.told.size).toBe(0);
    expect([...watched.told]).toEqual(expect.arrayContaining(['blocks.0.attn.entropy', 'blocks.1.attn.rowMax']));
    expect(watched.watched.map((value) => Number.isFinite(value) && value !== 0)).toEqual([true, true, true, true]);
    expect(watched.losses).toEqual(plain.losses);
    expect(watched.values).toEqual(plain.values);
  });
});
