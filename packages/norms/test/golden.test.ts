import { vjp } from '@evenkeel/core-tensor';
import { layerNorm, rmsNorm } from '@evenkeel/norms';
import { expectClose, forEachBackend } from '@evenkeel/testing';
import { dispose, tensor, type Tensor } from '@tensorflow/tfjs-core';
import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';

type Stored = { shape: number[]; values: number[] };
type Case = { name: string; op: 'layerNorm' | 'rmsNorm'; eps: number; y: Stored; dy: Stored } & { [tensor in 'x' | 'weight' | 'bias' | 'dx' | 'dweight' | 'dbias']?: Stored };

/** Written by PyTorch; tools/golden/README.md says how. */
const { cases } = JSON.parse(readFileSync(new URL('./golden/norms.json', import.meta.url), 'utf8')) as { cases: Case[] };

const load = ({ shape, values }: Stored): Tensor => tensor(Float32Array.from(values), shape);

forEachBackend(() => {
  it.each(cases)("$op(x) and its gradients match PyTorch's golden values: $name", async (golden) => {
    const names = (['x', 'weight', 'bias'] as const).filter((name) => golden[name] !== undefined);
    const inputs = Object.fromEntries(names.map((name) => [name, load(golden[name]!)])) as { x: Tensor; weight?: Tensor; bias?: Tensor };
    const { x, ...params } = inputs;
    const dy = load(golden.dy);
    const norm = golden.op === 'layerNorm' ? layerNorm : rmsNorm;
    const { value, grads } = vjp(() => norm(x, params, { eps: golden.eps }), names.map((name) => inputs[name]!), dy);
    expect(names.length).toBeGreaterThan(0);
    // Rows around 50 have lost five bits of their spread before they arrive.
    const [rtol, atol] = golden.name === 'far from zero' ? [1e-4, 5e-5] : [1e-5, 5e-6];
    await expectClose(value, Float64Array.from(golden.y.values), { rtol, atol });
    for (const [i, name] of names.entries()) await expectClose(grads[i]!, Float64Array.from(golden[`d${name}`]!.values), { rtol, atol: 4 * atol });
    dispose([inputs as Record<string, Tensor>, dy, value, grads]);
  });
});
