import { captureStep, ConfigError, gpuProgram, UnsupportedError, useDevice, type GpuBackend } from '@evenkeel/core-tensor';
import { forEachBackend } from '@evenkeel/testing';
import { webgpu, type Profile, type WebgpuOptions } from '@evenkeel/webgpu-kernels';
import { backend, dispose, square, tensor1d, tidy, type Tensor1D } from '@tensorflow/tfjs-core';
import { describe, expect, it, vi } from 'vitest';
import { Profiler } from '../src/profiler.ts';

const gpu = (): GpuBackend & { profile(): Profile; readonly device: GPUDevice } => backend() as never;

/** A loop whose length is a uniform: the device works as long as it is told to. */
const spin = (name: string) => gpuProgram({
  name, bindings: { x: 'write f32' }, uniforms: { rounds: 'u32' }, workgroupSize: 1,
  main: 'var y = x[0]; for (var i = 0u; i < u.rounds; i++) { y = y * 0.999 + 0.5; } x[0] = y;',
});
const add = gpuProgram({ name: 'add', bindings: { x: 'write f32' }, uniforms: { term: 'u32' }, workgroupSize: 1, main: 'x[0] += f32(u.term);' });
const [long, short] = [spin('long'), spin('short')];

const launch = (program: typeof long, x: Tensor1D, rounds: number): void => gpu().dispatch(program, { tensors: { x }, uniforms: { rounds }, groups: [1] });

forEachBackend(['evenkeel-webgpu'], () => {
  describe('profile()', () => {
    it('is rounded to 65.536 µs unless the toggle that rounds is off', async () => {
      const timesWith = async (options: WebgpuOptions): Promise<number[]> => {
        await useDevice('webgpu', [webgpu(options)]);
        const x = tensor1d([1]);
        const times: number[] = [];
        for (let i = 0; i < 5; i++) {
          const profile = gpu().profile();
          launch(long, x, 20_000);
          await x.data();
          times.push((await profile.stop())[0]!.ms);
        }
        x.dispose();
        return times;
      };
      const isRounded = (ms: number): boolean => Math.abs(ms / 0.065536 - Math.round(ms / 0.065536)) < 1e-6;
      expect((await timesWith({})).every(isRounded)).toBe(true);
      expect((await timesWith({ toggles: { disable: ['timestamp_quantization'] } })).some((ms) => !isRounded(ms))).toBe(true);
      await useDevice('webgpu', [webgpu()]);
    });

    it('tells how often and how long each program ran, the longest first', async () => {
      const x = tensor1d([1]);
      for (const program of [long, short]) launch(program, x, 1000); // before it began, and compiled
      await x.data();
      const profile = gpu().profile();
      for (let i = 0; i < 5; i++) launch(short, x, 1);
      for (let i = 0; i < 3; i++) launch(long, x, 10_000_000);
      const start = performance.now();
      await x.data();
      const waited = performance.now() - start;
      const times = await profile.stop();
      expect(times.map(({ name, launches }) => ({ name, launches }))).toEqual([{ name: 'long', launches: 3 }, { name: 'short', launches: 5 }]);
      const [slow, fast] = times.map(({ ms }) => ms) as [number, number];
      expect(slow).toBeGreaterThan(3 * fast);
      expect(slow).toBeGreaterThan(0.3 * waited); // the same clock as ours, in milliseconds
      expect(slow).toBeLessThan(1.2 * waited + 20);
      x.dispose();
    });

    it("sees tfjs' own programs, and leaves every value as it is", async () => {
      const x = tensor1d([3, -4]);
      const profile = gpu().profile();
      const y = tidy(() => square(square(x)));
      expect([...await y.data()]).toEqual([81, 256]);
      expect((await profile.stop()).map(({ launches }) => launches)).toEqual([2]);
      dispose([x, y]);
    });

    it('sees the launches of a captured step that is replayed', async () => {
      const x = tensor1d([3, -4]);
      const step = captureStep((inputs: Tensor1D) => square(square(inputs)));
      for (let i = 0; i < 4; i++) step(x, {}).dispose();
      expect(step.status()).toMatchObject({ state: 'captured', launches: 2 });
      const profile = gpu().profile();
      for (let i = 0; i < 3; i++) step(x, {}).dispose();
      expect((await profile.stop()).find(({ name }) => name === 'Square')).toMatchObject({ launches: 6 });
      step.dispose();
      x.dispose();
    });

    it('takes more launches than a query set holds, changes nothing about them, and frees what it made', async () => {
      const x = tensor1d([0]);
      await x.data();
      const { device } = gpu();
      const spies = [vi.spyOn(device, 'createQuerySet'), vi.spyOn(GPUQuerySet.prototype, 'destroy'), vi.spyOn(device, 'createBuffer'), vi.spyOn(GPUBuffer.prototype, 'destroy')];
      const profile = gpu().profile();
      for (let i = 0; i < 5000; i++) gpu().dispatch(add, { tensors: { x }, uniforms: { term: i % 7 }, groups: [1] });
      expect(await profile.stop()).toMatchObject([{ name: 'add', launches: 5000 }]);
      expect(spies.map(({ mock }) => mock.calls.length)).toEqual([3, 3, 6, 6]);
      vi.restoreAllMocks();
      expect([...await x.data()]).toEqual([14_995]);
      x.dispose();
    });

    it('takes a captured step that is handed over in parts larger than a query set', async () => {
      const x = tensor1d([0, 0]);
      const step = captureStep((inputs: Tensor1D) => {
        const y = square(inputs);
        for (let i = 0; i < 16_500; i++) gpu().dispatch(add, { tensors: { x: y }, uniforms: { term: i % 3 }, groups: [1] });
        return y;
      });
      for (let i = 0; i < 3; i++) step(x, {}).dispose();
      expect(step.status()).toMatchObject({ state: 'captured', launches: 16_501 });
      const profile = gpu().profile();
      const y = step(x, {});
      expect([...await y.data()]).toEqual([16_500, 0]);
      expect((await profile.stop()).find(({ name }) => name === 'add')).toMatchObject({ launches: 16_500 });
      step.dispose();
      dispose([x, y]);
    });

    it('says that the device was lost, where it was', async () => {
      await useDevice('webgpu', [webgpu({ toggles: { enable: ['lost_while_profiled'] } })]);
      const x = tensor1d([1]);
      const profile = gpu().profile();
      launch(short, x, 1);
      gpu().device.destroy();
      await expect(profile.stop()).rejects.toThrow(/^webgpu: the device must be working, got the device was lost/);
      await useDevice('webgpu', [webgpu()]);
    });

    it('is over after stop, which gives the same times again', async () => {
      const x = tensor1d([1]);
      const profile = gpu().profile();
      launch(short, x, 1);
      const times = await profile.stop();
      launch(short, x, 1);
      expect(await profile.stop()).toBe(times);
      expect(await gpu().profile().stop()).toEqual([]);
      x.dispose();
    });

    it('refuses a second profile beside the first', async () => {
      const profile = gpu().profile();
      expect(() => gpu().profile()).toThrow(new ConfigError('profile: the profile before must have been stopped, got one that is still on'));
      await profile.stop();
    });

    it('names the feature that the device lacks', () => {
      expect(() => new Profiler({ features: new Set() } as unknown as GPUDevice, () => {}, () => {}))
        .toThrow(new UnsupportedError('profile: the device must have the feature timestamp-query, got one without it'));
    });
  });
});
