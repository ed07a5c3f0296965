import { GPU_BACKEND, gpuProgram, randomBits, seedKey, WGSL_THREEFRY, type GpuBackend } from '@evenkeel/core-tensor';
import { forEachBackend } from '@evenkeel/testing';
import { backend, engine } from '@tensorflow/tfjs-core';
import { expect, it } from 'vitest';

const words = gpuProgram({
  name: 'words', bindings: { y: 'write i32' }, uniforms: { count: 'u32', key0: 'u32', key1: 'u32' }, workgroupSize: 64, declarations: WGSL_THREEFRY,
  main: 'if (index < u.count) { y[index] = bitcast<i32>(randomWord(vec2u(u.key0, u.key1), index)); }',
});

forEachBackend([GPU_BACKEND], () => {
  it.each([0, 1, 12345, 2 ** 52 + 77])('randomWord of the seed %i draws the bits of randomBits', async (seed) => {
    const gpu = backend() as unknown as GpuBackend;
    const y = gpu.allocate([1000], 'int32');
    const [key0, key1] = seedKey(seed);
    gpu.dispatch(words, { tensors: { y }, uniforms: { count: 1000, key0, key1 }, groups: gpu.spread(16) });
    const drawn = engine().makeTensorFromTensorInfo(y);
    expect(Uint32Array.from(await drawn.data())).toEqual(randomBits(seed, 1000));
    drawn.dispose();
  });
});
