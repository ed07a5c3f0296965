import { GPU_BACKEND } from '@evenkeel/core-tensor';
import { expectClose, forEachBackend, gelu64, randomArray, silu64 } from '@evenkeel/testing';
import { dispose, fill, tensor } from '@tensorflow/tfjs-core';
import { expect, it } from 'vitest';
import { run } from './run.ts';

type Function64 = (x: ArrayLike<number>) => Float64Array;

const KERNELS: [name: string, attrs: object, f: Function64][] = [
  ['gelu', { approximate: 'none' }, (x) => gelu64(x, 'none')], ['gelu', { approximate: 'tanh' }, (x) => gelu64(x, 'tanh')], ['silu', {}, silu64],
];

const GATES: Record<string, Function64> = {
  sigmoid: (x) => Float64Array.from(x, (value) => 1 / (1 + Math.exp(-value))),
  relu: (x) => Float64Array.from(x, (value) => Math.max(value, 0)),
  gelu: (x) => gelu64(x, 'none'), geluTanh: (x) => gelu64(x, 'tanh'), silu: silu64,
};

/** f' in float64, by central differences. */
function slopesOf(f: Function64, x: Float32Array): Float64Array {
  const at = (step: number) => f(Float64Array.from(x, (value) => value + step));
  const [above, below] = [at(1e-5), at(-1e-5)];
  return above.map((each, i) => (each - below[i]!) / 2e-5);
}

forEachBackend([GPU_BACKEND], () => {
  it.each(KERNELS)('%s with %j and its gradient agree with the float64 oracle', async (name, attrs, f) => {
    const [x, dy] = [randomArray(40_003, { std: 3 }), randomArray(40_003, { seed: 2 })];
    const inputs = { x: tensor(x), dy: tensor(dy) };
    const [[y], [dx]] = [run(name, { x: inputs.x }, attrs), run(`${name}Grad`, inputs, attrs)];
    await expectClose(y!, f(x), { rtol: 1e-6, atol: 2e-7 });
    await expectClose(dx!, slopesOf(f, x).map((each, i) => each * dy[i]!), { rtol: 5e-6, atol: 2e-6 });
    dispose([inputs, y!, dx!]);
  });

  it.each(KERNELS)('%s with %j is x for large x and 0 for very negative x', async (name, attrs) => {
    const x = tensor([30, 100, 1e30, Infinity, -100, -1e30, 0]);
    const [y] = run(name, { x }, attrs);
    expect([...await y!.data()].map((value) => value + 0)).toEqual([30, 100, Math.fround(1e30), Infinity, 0, 0, 0]);
    dispose([x, y!]);
  });

  it.each(KERNELS)('the gradient of %s with %j is dy for large x and 0 for very negative x', async (name, attrs) => {
    const inputs = { x: tensor([100, 1e14, 3e38, -100, -1e14, -3e38, NaN, 0]), dy: fill([8], 2) };
    const [dx] = run(`${name}Grad`, inputs, attrs);
    expect([...await dx!.data()].map((value) => value + 0)).toEqual([2, 2, 2, 0, 0, 0, NaN, 1]);
    dispose([inputs, dx!]);
  });

  it.each(Object.entries(GATES))('glu and its gradients with %s agree with the float64 oracle', async (activation, gate64) => {
    const [gate, value, dy] = [randomArray(10_001, { std: 3 }), randomArray(10_001, { seed: 2 }), randomArray(10_001, { seed: 3 })];
    const inputs = { gate: tensor(gate), value: tensor(value) };
    const [opened, slopes] = [gate64(gate), slopesOf(gate64, gate)];
    const [y] = run('glu', inputs, { activation });
    await expectClose(y!, opened.map((each, i) => each * value[i]!), { rtol: 2e-6, atol: 1e-6 });
    const [dgate, dvalue] = run('gluGrad', { ...inputs, dy: tensor(dy) }, { activation });
    await expectClose(dvalue!, opened.map((each, i) => each * dy[i]!), { rtol: 2e-6, atol: 1e-6 });
    await expectClose(dgate!, slopes.map((each, i) => each * value[i]! * dy[i]!), { rtol: 5e-6, atol: 2e-6 });
    dispose([inputs, y!, dgate!, dvalue!]);
  });
});
