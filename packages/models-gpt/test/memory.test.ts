import { backend, dispose, memory, tensor2d, tidy, variableGrads, type Scalar, type Variable } from '@tensorflow/tfjs-core';
import { beforeAll, describe, expect, it } from 'vitest';
import { randomBits, treeLeaves, valueAndGrad, type Params } from '@evenkeel/core-tensor';
import { gpt } from '@evenkeel/models-gpt';
import { adamw, applyUpdates, chain, clipByGlobalNorm } from '@evenkeel/optimizers';
import { useBackend } from '@evenkeel/testing';
import type { WasmBackend } from '@evenkeel/wasm-kernels';

beforeAll(async () => { expect(await useBackend('evenkeel-wasm')).toBeUndefined(); });

/** Bytes of the WebAssembly heap in use at most while `step` runs, beyond what was in use before. */
function peakOf(step: () => void): number {
  const { heap } = (backend() as WasmBackend).runtime;
  const before = heap.statistics().bytesInUse;
  heap.resetPeak();
  step();
  return heap.statistics().peakBytes - before;
}

describe('the memory of a GPT training step', () => {
  it('valueAndGrad peaks at no more than 60 % of tfjs\' own variableGrads, and less with rematerialise', () => {
    const sizes = { vocabSize: 65, contextLength: 64, depth: 8, dim: 64, numHeads: 2 };
    const [model, frugal] = [gpt(sizes), gpt({ ...sizes, rematerialise: true })];
    const params = model.init({ seed: 1 });
    const ids = Int32Array.from(randomBits(1, 8 * 65), (bits) => bits % 65);
    const batch = { inputs: tensor2d(ids.subarray(0, 512), [8, 64], 'int32'), targets: tensor2d(ids.subarray(1, 513), [8, 64], 'int32') };
    const ours = (of: typeof model) => () => { tidy(() => { valueAndGrad((p) => of.loss(batch, p), params); }); };
    const theirs = () => { tidy(() => { variableGrads(() => model.loss(batch, params) as Scalar, treeLeaves<Variable>(params as Params)); }); };
    const warmUp = [ours(model), theirs, ours(frugal)];
    warmUp.forEach((step) => step());
    const [own, stock, remat] = warmUp.map(peakOf) as [number, number, number];
    console.log(`peak bytes of a GPT step: valueAndGrad ${own}, variableGrads ${stock} (${(100 * own / stock).toFixed(0)} %), rematerialised ${remat}`);
    expect(own).toBeLessThanOrEqual(0.6 * stock);
    expect(remat).toBeLessThan(0.6 * own);
    dispose([params, batch] as never);
  });

  it('1,000 steps hold the same tensors and the same heap as the first ten', async () => {
    const model = gpt({ vocabSize: 17, contextLength: 12, depth: 2, dim: 16, numHeads: 2, dropout: 0.1 });
    const params = model.init({ seed: 1 });
    const optimizer = chain(clipByGlobalNorm(1), adamw({ learningRate: 1e-3 }));
    const state = optimizer.init(params);
    const step = async (seed: number): Promise<number> => {
      const loss = tidy(() => {
        const ids = Int32Array.from(randomBits(seed, 49), (bits) => bits % 17);
        const batch = { inputs: tensor2d(ids.subarray(0, 48), [4, 12], 'int32'), targets: tensor2d(ids.subarray(1), [4, 12], 'int32') };
        const { value, grads } = valueAndGrad((p) => model.loss(batch, p, { train: true, seed }), params);
        applyUpdates(params, optimizer.update(grads, state, params));
        return value;
      });
      const [value] = await loss.data();
      loss.dispose();
      return value as number;
    };
    const held = () => {
      const { bytesInUse, heapBytes } = (backend() as WasmBackend).runtime.heap.statistics();
      return { bytesInUse, heapBytes, numTensors: memory().numTensors };
    };
    for (let i = 0; i < 10; i++) await step(i);
    const early = held();
    for (let i = 10; i < 1000; i++) expect(await step(i)).toBeLessThan(4);
    expect(held()).toEqual(early);
    dispose([params, state.links] as never);
  });
});
