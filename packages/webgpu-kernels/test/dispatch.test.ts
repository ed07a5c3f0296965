import { GPU_BACKEND, gpuProgram, memoised, UnsupportedError, type GpuBackend } from '@evenkeel/core-tensor';
import { expectClose, forEachBackend } from '@evenkeel/testing';
import { backend, dispose, engine, memory, square, tensor1d, type Tensor, type TensorInfo } from '@tensorflow/tfjs-core';
import { describe, expect, it } from 'vitest';

const gpu = (): GpuBackend => backend() as unknown as GpuBackend;
const asTensor = (info: TensorInfo): Tensor => engine().makeTensorFromTensorInfo(info);

const sumAndDifference = gpuProgram({
  name: 'sumAndDifference',
  bindings: { a: 'read f32', b: 'read f32', sum: 'write f32', difference: 'write f32' },
  uniforms: { count: 'u32', scale: 'f32', shift: 'i32' },
  workgroupSize: 64,
  main: /* wgsl */ `
    if (index >= u.count) { return; }
    sum[index] = u.scale * (a[index] + b[index]);
    difference[index] = a[index] - b[index] + f32(u.shift);`,
});

const double = gpuProgram({
  name: 'double', bindings: { x: 'write f32' }, uniforms: { count: 'u32' }, workgroupSize: 32,
  main: 'if (index < u.count) { x[index] *= 2.0; }',
});

forEachBackend([GPU_BACKEND], () => {
  describe('dispatch(program)', () => {
    it('writes several outputs, with uniforms of all types', async () => {
      const [a, b] = [tensor1d([1, 2, 3]), tensor1d([10, 20, 30])];
      const [sum, difference] = [gpu().allocate([3]), gpu().allocate([3])];
      gpu().dispatch(sumAndDifference, { tensors: { a, b, sum, difference }, uniforms: { count: 3, scale: 0.5, shift: -1 }, groups: [1] });
      const results = [asTensor(sum), asTensor(difference)] as const;
      await expectClose(results[0], [5.5, 11, 16.5], { rtol: 0 });
      await expectClose(results[1], [-10, -19, -28], { rtol: 0 });
      dispose([a, b, ...results]);
    });

    it('works in place, in order with tfjs, also where the values had been read before', async () => {
      const x = tensor1d([1, -2]);
      expect([...await x.data()]).toEqual([1, -2]);
      for (let i = 0; i < 100; i++) gpu().dispatch(double, { tensors: { x }, uniforms: { count: i < 3 ? 2 : 0 }, groups: [1] });
      const y = square(x);
      expect([...await x.data()]).toEqual([8, -16]);
      expect([...await y.data()]).toEqual([64, 256]);
      dispose([x, y]);
    });

    it('reads what a tensor held, also where binding the next one had to submit what waited, and the first was freed and its buffer written', async () => {
      const first = tensor1d([7]);
      const computed = square(first);
      dispose(square(computed)); // leaves a buffer that the waiting commands use
      const uploaded = tensor1d([1]); // takes it, so they are submitted while the launch is bound
      const [sum, difference] = [gpu().allocate([1]), gpu().allocate([1])];
      gpu().dispatch(sumAndDifference, { tensors: { a: computed, b: uploaded, sum, difference }, uniforms: { count: 1, scale: 1, shift: 0 }, groups: [1] });
      computed.dispose();
      const next = tensor1d([-1000]); // takes the buffer that `computed` had
      gpu().dispatch(double, { tensors: { x: next }, uniforms: { count: 1 }, groups: [1] });
      const outputs = [asTensor(sum), asTensor(difference), next];
      expect(await Promise.all(outputs.map(async (output) => (await output.data())[0]))).toEqual([50, 48, -2000]);
      dispose([first, uploaded, outputs]);
    });

    it('counts through more workgroups than one axis may have', async () => {
      const count = 70_000 * 32;
      const x = tensor1d(new Float32Array(count).fill(1));
      const groups = gpu().spread(count / 32);
      expect(groups[1]).toBeGreaterThan(1);
      gpu().dispatch(double, { tensors: { x }, uniforms: { count }, groups });
      expect((await x.data()).every((value) => value === 2)).toBe(true);
      x.dispose();
    });

    it('takes thousands of launches and uniforms without growing', async () => {
      const x = tensor1d([1, 1]);
      const grow = async (): Promise<number> => {
        for (let i = 0; i < 3000; i++) gpu().dispatch(double, { tensors: { x }, uniforms: { count: 0 }, groups: [1] });
        await x.data();
        return (memory() as unknown as { numBytesAllocatedInGPU: number }).numBytesAllocatedInGPU;
      };
      const before = await grow();
      expect(await grow()).toBe(before);
      x.dispose();
    });

    it('names what is missing or too large', () => {
      const x = tensor1d([1]);
      expect(() => gpu().dispatch(double, { tensors: {}, uniforms: { count: 1 }, groups: [1] })).toThrow('dispatch: tensors of double must have x, got ');
      expect(() => gpu().dispatch(double, { tensors: { x }, groups: [1] })).toThrow('dispatch: uniforms of double must have count, got ');
      expect(() => gpu().dispatch(double, { tensors: { x }, uniforms: { count: 1 }, groups: [1e6] })).toThrow(UnsupportedError);
      x.dispose();
    });
  });

  it('subgroupSize is how many lanes a subgroup has, if it is always the same', async () => {
    const { subgroupSize, features } = gpu();
    if (!features.has('subgroups')) return expect(subgroupSize).toBeUndefined();
    const lanes = asTensor(gpu().allocate([4]));
    const program = gpuProgram({
      name: 'lanes', bindings: { y: 'write f32' }, workgroupSize: 128, enable: ['subgroups'], main: 'if (localIndex == 0u) { y[groupIndex] = f32(laneCount); }',
    });
    gpu().dispatch(program, { tensors: { y: lanes }, groups: [4] });
    const found = await lanes.data();
    expect(found[0]).toBeGreaterThan(1);
    if (subgroupSize !== undefined) expect([...found]).toEqual(Array(4).fill(subgroupSize));
    lanes.dispose();
  });

  it('memoised(make) makes one program per choice of arguments', () => {
    const make = memoised((tile: number, wide: boolean) => gpuProgram({ name: 'tile', bindings: {}, workgroupSize: tile, main: wide ? '' : 'return;' }));
    expect(make(8, true)).toBe(make(8, true));
    expect(new Set([make(8, true), make(8, false), make(4, true)].map(({ code }) => code)).size).toBe(3);
  });
});
