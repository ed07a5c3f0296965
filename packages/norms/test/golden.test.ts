import { vjp } from '@evenkeel/core-tensor';
import { adaLayerNorm, dynamicTanh, layerNorm, rmsNorm } from '@evenkeel/norms';
import { expectClose, forEachBackend } from '@evenkeel/testing';
import { dispose, tensor, type Tensor } from '@tensorflow/tfjs-core';
import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';

type Stored = { shape: number[]; values: number[] };
type Case = { name: string; op: 'layerNorm' | 'rmsNorm'; eps: number; y: Stored; dy: Stored } & { [tensor in 'x' | 'weight' | 'bias' | 'dx' | 'dweight' | 'dbias']?: Stored };

/** Written by PyTorch; tools/golden/README.md says how. */
const { cases } = JSON.parse(readFileSync(new URL('./golden/norms.json', import.meta.url), 'utf8')) as { cases: Case[] };

type DynamicOp = (inputs: Record<string, Tensor>, eps: number) => Tensor;
type DynamicCase = { name: string; op: string; eps: number | null; inputs: Record<string, Stored>; dy: Stored; y: Stored; grads: Record<string, Stored> };
const { cases: dynamicCases } = JSON.parse(readFileSync(new URL('./golden/dynamicNorms.json', import.meta.url), 'utf8')) as { cases: DynamicCase[] };

const DYNAMIC_OPS: Record<string, DynamicOp> = {
  adaLayerNorm: ({ x, shift, scale }, eps) => adaLayerNorm(x!, { shift: shift!, scale: scale! }, { eps }),
  dynamicTanh: ({ x, alpha, weight, bias }) => dynamicTanh(x!, { alpha: alpha!, weight: weight!, bias: bias! }),
  gemmaRmsNorm: ({ x, weight }, eps) => rmsNorm(x!, { weight: weight! }, { eps, gainOffset: 1 }),
};

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

  it.each(dynamicCases)("$op(x) and its gradients match PyTorch's golden values: $name", async ({ op, eps, inputs, dy, y, grads: expected }) => {
    const [names, given, weights] = [Object.keys(inputs), Object.fromEntries(Object.entries(inputs).map(([name, each]) => [name, load(each)])), load(dy)];
    const { value, grads } = vjp(() => DYNAMIC_OPS[op]!(given, eps ?? 0), names.map((name) => given[name]!), weights);
    expect(names.length).toBeGreaterThan(1);
    await expectClose(value, Float64Array.from(y.values), { atol: 5e-6 });
    for (const [i, name] of names.entries()) await expectClose(grads[i]!, Float64Array.from(expected[name]!.values), { atol: 2e-5 });
    dispose([given, weights, value, grads]);
  });
});
