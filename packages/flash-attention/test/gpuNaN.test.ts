import { GPU_BACKEND, vjp } from '@evenkeel/core-tensor';
import { attentionReference } from '@evenkeel/flash-attention';
import { expectClose, forEachBackend, randomArray } from '@evenkeel/testing';
import { dispose, getBackend, setBackend, tensor, type Tensor } from '@tensorflow/tfjs-core';
import { expect, it, vi } from 'vitest';
import { runAll } from './gpuCases.ts';

vi.setConfig({ testTimeout: 300_000 }); // compiling for a CPU takes seconds per program

const shape = [1, 5, 2, 4];
const values = [1, 2, 3, 4].map((seed) => randomArray(40, { seed }));

/** q, k, v and the gradient of out, where one channel of query or key 1 of head 0 is NaN. */
const spoilt = (name: string): Tensor[] => values.map((x, i) => tensor(x.map((each, at) => (i === ['q', 'k'].indexOf(name) && at === 9 ? NaN : each)), shape));

/** What the reference makes of it on the CPU, where every query sees every key: out, lse, rowMax, entropy, dq, dk, dv. */
async function expectedOf(name: string, softcap: number): Promise<Float32Array[]> {
  const before = getBackend();
  await setBackend('cpu');
  const [q, k, v, dy] = spoilt(name) as [Tensor, Tensor, Tensor, Tensor];
  const { out, lse, rowMax, entropy } = attentionReference(q, k, v, { softcap, returnStats: true });
  const { value, grads } = vjp(() => attentionReference(q, k, v, { softcap }), [q, k, v], dy);
  const numbers = await Promise.all([out, lse, rowMax, entropy, ...grads].map(async (each) => Float32Array.from(await each.data())));
  dispose([q, k, v, dy, out, lse, rowMax, entropy, value, grads]);
  await setBackend(before);
  return numbers;
}

forEachBackend([GPU_BACKEND], () => {
  it.each([
    { name: 'q', softcap: 5, tile: {} }, { name: 'k', softcap: 5, tile: {} }, { name: 'q', softcap: 5, tile: { lanes: false, rows: 2 } }, { name: 'k', softcap: 5, tile: { lanes: false } },
    { name: 'q', softcap: 0, tile: {} }, { name: 'k', softcap: 0, tile: {} },
  ])('NaN in $name goes where the reference lets it go on the CPU, in results, statistics and gradients, with softcap $softcap and tile $tile', async ({ name, softcap, tile }) => {
    const expected = await expectedOf(name, softcap);
    const [q, k, v, dy] = spoilt(name) as [Tensor, Tensor, Tensor, Tensor];
    const results = runAll({ inputs: { q, k, v }, attrs: { scale: 0.5, causal: false, windowLeft: -1, windowRight: -1, softcap, tile }, dy });
    expect(expected.map((each) => each.some(Number.isNaN) && !each.every(Number.isNaN))).toEqual(expected.map(() => true));
    for (const [i, each] of Object.values(results).entries()) await expectClose(await each.data(), expected[i]!, { rtol: 1e-4, atol: 2e-5 });
    dispose([q, k, v, dy, results] as never);
  });
});
