import { add, engine, fill, matMul, memory, scalar, split, tidy, unstack, type NamedTensorMap, type Tensor } from '@tensorflow/tfjs-core';
import { UnsupportedError } from '@evenkeel/core-tensor';
import type { Block, WasmBackend } from '@evenkeel/wasm-kernels';
import { expectClose } from '@evenkeel/testing';
import { describe, expect, it } from 'vitest';
import { useWasm } from './variants.ts';

const MIB = 2 ** 20;
const FLOATS = MIB / 4;

/** A tensor in the heap, where allocation has come from a kernel. */
const inHeap = (...shape: number[]): Tensor => tidy(() => add(fill(shape, 1), scalar(0)));

/** Fills the heap so far that at most `free` MiB can still be had, and returns what lets go of it. */
function fillUp(backend: WasmBackend, free: number): () => void {
  const { heap } = backend.runtime;
  const kept = heap.allocate(free * MIB);
  const blocks: Block[] = [];
  for (let size = 32 * MIB; size >= 64; size /= 2) {
    try {
      for (;;) blocks.push(heap.allocate(size));
    } catch {
      // no room for a block of this size
    }
  }
  heap.free(kept);
  return () => blocks.forEach((block) => heap.free(block));
}

type Case = { inputs: () => NamedTensorMap; free: number; run: (inputs: NamedTensorMap) => unknown };

const kernel = (name: string, attrs: object) => (inputs: NamedTensorMap) => engine().runKernel(`evenkeel/${name}`, inputs, { ...attrs });

const cases: Record<string, Case> = {
  'the second update of adamw': {
    inputs: () => Object.fromEntries(['param', 'grad', 'mu', 'nu'].flatMap((list) => [0, 1].map((i) => [`${list}.${i}`, inHeap(FLOATS)]))),
    free: 1.5, run: kernel('adamw', { learningRate: 1, beta1: 0, beta2: 0, eps: 1, weightDecays: [0, 0], correction1: 1, correction2: 1 }),
  },
  'the packed copy of matMul': { inputs: () => ({ a: inHeap(512, 512), b: inHeap(512, 512) }), free: 1.5, run: ({ a, b }) => matMul(a as Tensor, b as Tensor) },
  'the address table of matMul': { inputs: () => ({ a: inHeap(16384, 6, 1), b: inHeap(16384, 1, 8) }), free: 3.625, run: ({ a, b }) => matMul(a as Tensor, b as Tensor) },
  'the second part of split': { inputs: () => ({ x: inHeap(FLOATS) }), free: 0.75, run: ({ x }) => split(x as Tensor, 2) },
  'the last part of unstack': { inputs: () => ({ x: inHeap(2, FLOATS / 2) }), free: 0.75, run: ({ x }) => unstack(x as Tensor) },
  'the shares of layerNormGrad': { inputs: () => ({ x: inHeap(2, FLOATS / 2), dy: inHeap(2, FLOATS / 2) }), free: 1.5, run: kernel('layerNormGrad', { eps: 1 }) },
  'the parts of attentionGrad': {
    inputs: () => ({ ...Object.fromEntries(['q', 'k', 'v', 'out', 'dy'].map((name) => [name, inHeap(1, 1024, 1, FLOATS / 1024)])), lse: inHeap(1, 1, 1024) }),
    free: 8, run: kernel('attentionGrad', { scale: 1, causal: true, windowLeft: -1, windowRight: -1 }),
  },
};

describe.each([1, 2])('a kernel that fails on %i thread(s)', (threads) => {
  it.each(Object.entries(cases))('frees what it had allocated before %s', async (_, { inputs, free, run }) => {
    const backend = await useWasm({ threads, maxMemoryBytes: 64 * MIB });
    const given = inputs();
    const release = fillUp(backend, free);
    const before = { tensors: memory().numTensors, data: backend.numDataIds(), ...backend.runtime.heap.statistics() };
    expect(() => run(given)).toThrow(UnsupportedError);
    const { bytesInUse, blocksInUse } = backend.runtime.heap.statistics();
    expect({ tensors: memory().numTensors, data: backend.numDataIds(), bytesInUse, blocksInUse }).toEqual({
      tensors: before.tensors, data: before.data, bytesInUse: before.bytesInUse, blocksInUse: before.blocksInUse,
    });
    release();
    await expectClose(add(Object.values(given)[0] as Tensor, scalar(1)), new Float32Array((Object.values(given)[0] as Tensor).size).fill(2));
    backend.dispose();
  });
});
