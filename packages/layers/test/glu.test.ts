import { valueAndGrad } from '@evenkeel/core-tensor';
import { glu, type GluActivation } from '@evenkeel/layers';
import { checkOpGrad, expectClose, expectNoLeak, expectNoWorseThan, forEachBackend, gelu64, randomTensor, silu64 } from '@evenkeel/testing';
import { add, dispose, fill, mul, sigmoid, sum, tensor, tidy, zeros, type Tensor } from '@tensorflow/tfjs-core';
import { describe, expect, it } from 'vitest';

const GATES: Record<GluActivation, (x: ArrayLike<number>) => Float64Array> = {
  sigmoid: (x) => Float64Array.from(x, (value) => 1 / (1 + Math.exp(-value))),
  relu: (x) => Float64Array.from(x, (value) => Math.max(value, 0)),
  gelu: (x) => gelu64(x, 'none'), geluTanh: (x) => gelu64(x, 'tanh'), silu: silu64,
};

const glu64 = (gate: ArrayLike<number>, value: ArrayLike<number>, activation: GluActivation): Float64Array =>
  GATES[activation](gate).map((each, i) => each * value[i]!);

const draw = (shape: number[], seed = 1): { gate: Tensor; value: Tensor } => ({ gate: randomTensor(shape as [number], { std: 2, seed }), value: randomTensor(shape as [number], { seed: seed + 1 }) });

describe.each(Object.keys(GATES) as GluActivation[])('glu(gate, value, { activation: %s })', (activation) => {
  forEachBackend(() => {
    it.each([[[1]], [[3]], [[65, 3]], [[2, 5, 13]], [[130, 65]], [[0, 3]]])('agrees with the float64 oracle for shape %j', async (shape) => {
      const { gate, value } = draw(shape);
      const y = glu(gate, value, { activation });
      expect([y.shape, y.dtype]).toEqual([shape, 'float32']);
      // tfjs' erf is good to 1.5e-7, times x/2 for |x| up to about 8.
      await expectClose(y, glu64(await gate.data(), await value.data(), activation), { rtol: 1e-5, atol: 2e-6 });
      dispose([gate, value, y]);
    });

    it('has gradients that match finite differences in gate and value', async () => {
      for (const size of [1, 3, 65]) {
        const inputs = draw([size], 4);
        await checkOpGrad<'gate' | 'value'>({ op: (p) => glu(p.gate, p.value, { activation }), oracle64: (p) => glu64(p.gate, p.value, activation), inputs });
        dispose(inputs);
      }
    });

    it('has a gradient in one of them alone, and where both are one tensor', async () => {
      const { gate, value } = draw([7], 4);
      const [gates, values] = [await gate.data() as Float32Array, await value.data() as Float32Array];
      await checkOpGrad<'x'>({ op: (p) => glu(p.x, value, { activation }), oracle64: (p) => glu64(p.x, values, activation), inputs: { x: gate } });
      await checkOpGrad<'x'>({ op: (p) => glu(gate, p.x, { activation }), oracle64: (p) => glu64(gates, p.x, activation), inputs: { x: value } });
      await checkOpGrad<'x'>({ op: (p) => glu(p.x, p.x, { activation }), oracle64: (p) => glu64(p.x, p.x, activation), inputs: { x: gate } });
      dispose([gate, value]);
    });

    it('opens and closes at large gates, and its gradients stay finite', async () => {
      const open = activation === 'sigmoid' ? 1 : 100;
      const gate = tensor([-1e14, -1e4, -100, 100]);
      const value = tensor([2, 2, 2, 2]);
      const y = glu(gate, value, { activation });
      await expectClose(y, [0, 0, 0, 2 * open], { atol: 1e-6 });
      const { value: total, grads } = valueAndGrad((p: { gate: Tensor; value: Tensor }) => sum(glu(p.gate, p.value, { activation })), { gate, value });
      await expectClose(grads.gate, [0, 0, 0, activation === 'sigmoid' ? 0 : 2], { atol: 1e-6 });
      await expectClose(grads.value, [0, 0, 0, open], { atol: 1e-6 });
      dispose([gate, value, y, total, grads]);
    });

    it('passes NaN of either on, into gradients too', async () => {
      const [gate, value] = [tensor([NaN, 1, 2, 3, 1, NaN]), tensor([1, NaN, 1, 1, NaN, 1])];
      const y = glu(gate, value, { activation });
      expect([...await y.data()].map(Number.isNaN)).toEqual([true, true, false, false, true, true]);
      const { value: total, grads } = valueAndGrad((p: { gate: Tensor; value: Tensor }) => sum(glu(p.gate, p.value, { activation })), { gate, value });
      expect([...await grads.value.data()].map(Number.isNaN)).toEqual([true, false, false, false, false, true]);
      expect([...await grads.gate.data()].slice(1, 5).map(Number.isNaN)).toEqual([true, false, false, true]);
      dispose([gate, value, y, total, grads]);
    });

    it('adds one tensor and frees the rest, also on error and in gradients', async () => {
      const inputs = draw([3, 4]);
      const wrong = zeros([4, 3]);
      await expectNoLeak(() => glu(inputs.gate, inputs.value, { activation }));
      await expectNoLeak(() => glu(inputs.gate, wrong, { activation }), { throws: 'glu: value must have shape [3, 4], got [4, 3]' });
      await expectNoLeak(() => valueAndGrad((p: typeof inputs) => sum(glu(p.gate, p.value, { activation })), inputs));
      dispose([inputs, wrong]);
    });
  });
});

forEachBackend(() => {
  it('glu(gate, value) has at most twice the composed float32 error', async () => {
    const { gate, value } = draw([65, 130]);
    const [fused, composed] = [glu(gate, value), tidy(() => mul(sigmoid(gate), value))];
    // One unit in the last place of values around 3.
    await expectNoWorseThan(fused, composed, glu64(await gate.data(), await value.data(), 'sigmoid'), { floor: 3e-7 });
    dispose([gate, value, fused, composed]);
  });
});

describe('glu', () => {
  it('glu(gate, value) says what it wants', () => {
    const [floats, integers] = [fill([2], 1), zeros([2], 'int32')];
    expect(() => glu(integers, floats)).toThrow('glu: gate must have dtype float32, got int32');
    expect(() => glu(floats, integers)).toThrow('glu: value must have dtype float32, got int32');
    expect(() => glu(floats, floats, { activation: 'tanh' as never })).toThrow('glu: activation must be one of sigmoid, relu, gelu, geluTanh, silu, got tanh');
    expect(() => glu(floats, add(zeros([3, 2]), 0) as never)).toThrow('glu: value must have shape [2], got [3, 2]');
    dispose([floats, integers]);
  });
});
