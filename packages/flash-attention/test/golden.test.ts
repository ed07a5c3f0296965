import { vjp } from '@evenkeel/core-tensor';
import { flashAttention, flashAttentionVarlen, type FlashAttentionOptions, type FlashAttentionVarlenOptions } from '@evenkeel/flash-attention';
import { defaultBackends, expectClose, forEachBackend, provideBackend } from '@evenkeel/testing';
import { dispose, tensor, type Tensor } from '@tensorflow/tfjs-core';
import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';

type Stored = { shape: number[]; values: (number | string)[] };
type Numbers = Record<'q' | 'k' | 'v' | 'dy' | 'out' | 'lse' | 'dq' | 'dk' | 'dv', Stored>;
type Case = Numbers & { name: string; options: FlashAttentionOptions & { returnLse?: false } };
type General = Numbers & Record<'rowMax' | 'entropy', Stored> & { name: string; options: Case['options'] };
type Varlen = Numbers & { name: string; options: FlashAttentionVarlenOptions & { returnLse?: false }; lengths: [number[], number[]] };

/** Written by PyTorch; tools/golden/README.md says how. */
const { cases, general, varlen } = JSON.parse(readFileSync(new URL('./golden/attention.json', import.meta.url), 'utf8')) as { cases: Case[]; general: General[]; varlen: Varlen[] };

const numbers = ({ values }: Stored): Float64Array => Float64Array.from(values, Number); // "Infinity" is a string in JSON
const load = (stored: Stored): Tensor => tensor(Float32Array.from(numbers(stored)), stored.shape);

// tfjs' own backend of that name, on which all is done by the reference.
provideBackend('wasm', async () => {
  await import('@tensorflow/tfjs-backend-wasm');
  return undefined;
});

forEachBackend([...defaultBackends, 'wasm'], () => {
  it.each(cases)("flashAttention(q, k, v) and its gradients match PyTorch's golden values: $name", async (golden) => {
    const [q, k, v, dy] = [golden.q, golden.k, golden.v, golden.dy].map(load) as [Tensor, Tensor, Tensor, Tensor];
    const { value, grads } = vjp(() => flashAttention(q, k, v, golden.options), [q, k, v], dy);
    const { lse } = flashAttention(q, k, v, { ...golden.options, returnLse: true });
    expect(value.shape).toEqual(golden.out.shape);
    await expectClose(value, numbers(golden.out), { atol: 2e-6 });
    await expectClose(lse, numbers(golden.lse), { atol: 2e-6 });
    for (const [i, name] of (['dq', 'dk', 'dv'] as const).entries()) await expectClose(grads[i]!, numbers(golden[name]), { atol: 1e-5 });
    dispose([q, k, v, dy, value, grads, lse]);
  });

  it.each(general)("flashAttention(q, k, v, { softcap, blockMask, returnStats }) and its gradients match PyTorch's golden values: $name", async (golden) => {
    const [q, k, v, dy] = [golden.q, golden.k, golden.v, golden.dy].map(load) as [Tensor, Tensor, Tensor, Tensor];
    const tiles = golden.options.blockMask as unknown as number[][] | undefined;
    const blockMask = tiles && tensor(tiles.flat(), [tiles.length, tiles[0]!.length], 'int32');
    const options = { ...golden.options, blockMask };
    const { value, grads } = vjp(() => flashAttention(q, k, v, options), [q, k, v], dy);
    const stats = flashAttention(q, k, v, { ...options, returnStats: true });
    for (const [y, expected] of [[value, golden.out], [stats.out, golden.out], [stats.lse, golden.lse], [stats.rowMax, golden.rowMax], [stats.entropy, golden.entropy]] as const) {
      expect(y.shape).toEqual(expected.shape);
      await expectClose(y, numbers(expected), { atol: 2e-6 });
    }
    for (const [i, name] of (['dq', 'dk', 'dv'] as const).entries()) await expectClose(grads[i]!, numbers(golden[name]), { atol: 1e-5 });
    dispose([q, k, v, dy, blockMask ?? [], value, grads, stats] as never);
  });

  it.each(varlen)("flashAttentionVarlen(q, k, v) and its gradients match PyTorch's golden values: $name", async (golden) => {
    const [q, k, v, dy] = [golden.q, golden.k, golden.v, golden.dy].map(load) as [Tensor, Tensor, Tensor, Tensor];
    const [cuQ, cuK] = golden.lengths.map((lengths) => lengths.reduce((all, length) => [...all, all.at(-1)! + length], [0])) as [number[], number[]];
    const { value, grads } = vjp(() => flashAttentionVarlen(q, k, v, cuQ, cuK, golden.options), [q, k, v], dy);
    const { lse } = flashAttentionVarlen(q, k, v, cuQ, cuK, { ...golden.options, returnLse: true });
    expect([value.shape, lse.shape]).toEqual([golden.out.shape, golden.lse.shape]);
    await expectClose(value, numbers(golden.out), { atol: 2e-6 });
    await expectClose(lse, numbers(golden.lse), { atol: 2e-6 });
    for (const [i, name] of (['dq', 'dk', 'dv'] as const).entries()) await expectClose(grads[i]!, numbers(golden[name]), { atol: 1e-5 });
    dispose([q, k, v, dy, value, grads, lse]);
  });
});
