import { vjp } from '@evenkeel/core-tensor';
import { flashAttention, type FlashAttentionOptions } from '@evenkeel/flash-attention';
import { expectClose, forEachBackend } from '@evenkeel/testing';
import { dispose, tensor, type Tensor } from '@tensorflow/tfjs-core';
import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';

type Stored = { shape: number[]; values: (number | string)[] };
type Case = { name: string; options: FlashAttentionOptions & { returnLse?: false } } & Record<'q' | 'k' | 'v' | 'dy' | 'out' | 'lse' | 'dq' | 'dk' | 'dv', Stored>;

/** Written by PyTorch; tools/golden/README.md says how. */
const { cases } = JSON.parse(readFileSync(new URL('./golden/attention.json', import.meta.url), 'utf8')) as { cases: Case[] };

const numbers = ({ values }: Stored): Float64Array => Float64Array.from(values, Number); // "Infinity" is a string in JSON
const load = (stored: Stored): Tensor => tensor(Float32Array.from(numbers(stored)), stored.shape);

forEachBackend(() => {
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
});
