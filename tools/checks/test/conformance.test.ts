import { GPU_BACKEND, gpuProgram, registerGpuKernels, type GpuKernel } from '@evenkeel/core-tensor';
import { forEachBackend } from '@evenkeel/testing';
import { square, zerosLike, type Tensor } from '@tensorflow/tfjs-core';
import { expect, it } from 'vitest';
import type { Row } from '@evenkeel/wasm-kernels/battery';
import { conformance, registeredKernels } from '../conformance/conformance.ts';

const kernelOf = (name: string, result: string): GpuKernel => {
  const program = gpuProgram({ name, bindings: { x: 'read f32', y: 'write f32' }, uniforms: { count: 'u32' }, workgroupSize: 64, main: `if (index < u.count) { y[index] = ${result}; }` });
  return {
    name,
    run: ({ inputs, backend }) => {
      const x = inputs['x']!;
      const y = backend.allocate(x.shape);
      const count = x.shape[0]!;
      backend.dispatch(program, { tensors: { x, y }, uniforms: { count }, groups: [Math.ceil(count / 64)] });
      return y;
    },
  };
};

const row = (kernel: string, reference: NonNullable<Row['reference']> = ({ x }) => square(x as Tensor)): Row =>
  ({ kernel, reference, large: 100, inputs: (draw, n) => ({ x: draw.floats(n) }) });

forEachBackend([GPU_BACKEND], () => {
  it('conformance(kernels) accepts a kernel that agrees with its reference, and tells its error', async () => {
    registerGpuKernels([kernelOf('evenkeel/nearlySquare', 'x[index] * x[index] * 1.000001')]);
    const [result] = await conformance(['evenkeel/nearlySquare'], [row('evenkeel/nearlySquare')]);
    expect(result).toEqual({ kernel: 'evenkeel/nearlySquare', rows: 1, worst: expect.any(Number) as number, failures: [] });
    expect(result?.worst).toBeGreaterThan(0);
    expect(result?.worst).toBeLessThan(1);
  });

  it('conformance(kernels) fails a kernel that gives zeros, at every size', async () => {
    registerGpuKernels([kernelOf('evenkeel/zeros', 'f32(x[index] != x[index])')]);
    const [result] = await conformance(['evenkeel/zeros'], [row('evenkeel/zeros')]);
    expect(result?.failures).toHaveLength(3);
    expect(result?.failures[2]).toMatch(/^evenkeel\/zeros, size 33: 33 of 33 values differ .*\n {2}worst at .*: got 0, expected/);
  });

  it('conformance(kernels) fails a row whose reference is zero, which proves nothing', async () => {
    const [result] = await conformance(['evenkeel/zeros'], [{ ...row('evenkeel/zeros', ({ x }) => zerosLike(x as Tensor)), form: 'of zeros' }]);
    expect(result?.failures).toEqual(['evenkeel/zeros of zeros: the reference must give numbers other than 0, which a kernel that never ran gives too']);
  });

  it('conformance(kernels) fails a kernel that throws, and one without a row', async () => {
    registerGpuKernels([{ name: 'evenkeel/throws', run: () => { throw new Error('not today'); } }]);
    expect((await conformance(['evenkeel/throws'], [row('evenkeel/throws')]))[0]?.failures[0]).toBe('evenkeel/throws, size 1: not today');
    expect((await conformance(['evenkeel/nowhere']))[0]?.failures).toEqual(['the battery must have a row for it, has none']);
  });

  it('registeredKernels() lists the kernels of every package, also those registered by a technique', () => {
    registerGpuKernels([kernelOf('evenkeel/ofATechnique', '0.0')]);
    expect(registeredKernels()).toContain('evenkeel/ofATechnique');
    expect(registeredKernels()).not.toContain('Conv2D'); // tfjs' own
  });
});
