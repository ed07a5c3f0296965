import { captureStep, GPU_BACKEND, gpuProgram, registerGpuKernels, UnsupportedError, useDevice, type GpuBackend } from '@evenkeel/core-tensor';
import { forEachBackend } from '@evenkeel/testing';
import { webgpu } from '@evenkeel/webgpu-kernels';
import { add, backend, conv2d, dispose, engine, max, memory, mul, ones, sum, tensor1d, tidy, type Tensor, type Tensor4D } from '@tensorflow/tfjs-core';
import { beforeEach, describe, expect, it } from 'vitest';
import type { EvenkeelWebgpuBackend } from '../src/backend.ts';

const gpu = (): EvenkeelWebgpuBackend => backend() as unknown as EvenkeelWebgpuBackend;

const broken = gpuProgram({ name: 'brokenOnPurpose', bindings: { x: 'read f32', y: 'write f32' }, workgroupSize: 1, main: 'y[0] = nonsense;' });
/** A read_write binding of a tensor that is bound to read as well. */
const twice = gpuProgram({ name: 'boundTwice', bindings: { x: 'read f32', y: 'write f32' }, workgroupSize: 1, main: 'y[0] = x[0];' });

registerGpuKernels([{
  name: 'test/broken',
  run: ({ inputs, backend: device }: { inputs: Record<string, unknown>; backend: GpuBackend }) => {
    const y = device.allocate([1]);
    device.temporary([7]);
    device.dispatch(broken, { tensors: { x: inputs['x'] as Tensor, y }, groups: [1] });
    return y;
  },
}]);
const runBroken = (x: Tensor): Tensor => engine().runKernel('test/broken', { x }) as Tensor;

forEachBackend([GPU_BACKEND], () => {
  /** Every test breaks its device. */
  beforeEach(async () => void await useDevice('webgpu', [webgpu({ toggles: { enable: [`fresh_${Math.random().toString(36).slice(2)}`] } })]));

  describe('an error of the device', () => {
    it('in a program of ours is thrown by its dispatch, with its name and the compiler\'s words', async () => {
      const x = tensor1d([1, 2]);
      const y = add(x, 1);
      expect(() => runBroken(x)).toThrow(/a validation error in brokenOnPurpose: .*unresolved value 'nonsense'/s);
      expect(() => mul(y, 2)).toThrow(UnsupportedError);
      await expect(y.data()).rejects.toThrow('brokenOnPurpose'); // its batch was voided: zeros would be wrong
    });

    it('frees what the kernel had made', () => {
      const x = tensor1d([1, 2]);
      const before = memory().numDataBuffers;
      const ids = gpu().numDataIds();
      expect(() => runBroken(x)).toThrow('brokenOnPurpose');
      expect(memory().numDataBuffers).toBe(before);
      expect(gpu().numDataIds()).toBe(ids);
    });

    it('is thrown within the step that is being captured', () => {
      const x = tensor1d([1, 2]);
      const step = captureStep((given: Tensor) => runBroken(add(given, 1)));
      expect(() => step(x, {})).toThrow('brokenOnPurpose');
      expect(() => step(x, {})).toThrow(UnsupportedError);
    });

    it('that a tensor written and read at once would cause is prevented', async () => {
      const x = tensor1d([1]);
      expect(() => gpu().dispatch(twice, { tensors: { x, y: x }, groups: [1] })).toThrow('dispatch: tensors of boundTwice must have y, which is written, in one place, got two');
      expect([...await x.data()]).toEqual([1]);
      x.dispose();
    });

    it.each([
      ['a kernel of ours', 'add', () => add(tensor1d([1]), 1)], ['an upload', 'add', () => add(tensor1d([1, 2, 3]), tensor1d([4, 5, 6]))],
      ['a kernel of tfjs', 'Im2Col', () => conv2d(ones([1, 4, 4, 1]) as Tensor4D, ones([2, 2, 1, 1]) as Tensor4D, 1, 'same')], ['a captured step', 'a captured step', () => captureStep(({ x }: { x: Tensor }) => add(x, 1))({ x: tensor1d([1]) })],
    ])('is thrown by %s where memory cannot be had, with its name', (_, name, run) => {
      const { device } = gpu();
      const { createBuffer } = device;
      // A buffer that the device refuses, as it refuses one for which there is no memory.
      device.createBuffer = (descriptor) => createBuffer.call(device, { ...descriptor, size: 2 ** 45 });
      expect(run).toThrow(new RegExp(`the device must be working, got (a validation error|out of memory) in \\w*${name}`, 'i'));
      Object.assign(device, { createBuffer });
      expect(() => add(1, 2)).toThrow(UnsupportedError);
    });

    it('does not come of a tensor from the CPU that is larger than can be bound: it is refused, and the device goes on', async () => {
      const { maxStorageBufferBindingSize: limit } = gpu().limits;
      const x = tensor1d(new Float32Array(limit / 4 + 256).fill(1));
      for (const f of [() => sum(x), () => max(x), () => add(x, 1)]) expect(() => tidy(f)).toThrow(`a tensor must have at most ${limit} bytes on this device, got ${limit + 1024}`);
      const y = tidy(() => add(ones([2]), 1));
      expect([...await y.data()]).toEqual([2, 2]);
      dispose([x, y]);
    });

    it('stops a captured step whose device is lost, and never gives zeros', async () => {
      const x = tensor1d([1, 2]);
      const step = captureStep((given: Tensor) => add(given, 1));
      for (let i = 0; i < 4; i++) expect([...await step(x, {}).data()]).toEqual([2, 3]);
      expect(step.status().state).toBe('captured');
      gpu().device.destroy();
      await expect((async () => [...await step(x, {}).data()])()).rejects.toThrow(/lost|destroyed/);
      await new Promise((resolve) => setTimeout(resolve, 20));
      expect(() => step(x, {})).toThrow(UnsupportedError);
    });
  });
});
