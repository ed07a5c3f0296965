import { GPU_BACKEND, gpuProgram, param, useDevice, type KernelChoices } from '@evenkeel/core-tensor';
import { sgd } from '@evenkeel/optimizers';
import { forEachBackend, slowOrQuick } from '@evenkeel/testing';
import { memoryStore, train } from '@evenkeel/training';
import { webgpu } from '@evenkeel/webgpu-kernels';
import { dispose, mean, mul, scalar, square, sub, tensor1d, type Scalar } from '@tensorflow/tfjs-core';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeEach, expect, it } from 'vitest';

/** A device that tunes itself, without what others of it have found. */
async function freshDevice(tuning: 'auto' | 'off'): Promise<void> {
  rmSync(join(process.env['XDG_CACHE_HOME'] as string, 'evenkeel'), { recursive: true, force: true });
  await useDevice('webgpu', [webgpu({ tuning: { none: 'none' } })]);
  await useDevice('webgpu', [webgpu({ tuning })]);
}

forEachBackend([GPU_BACKEND], () => {
  const before = process.env['XDG_CACHE_HOME'];
  const store = { current: memoryStore() };
  beforeEach(() => {
    process.env['XDG_CACHE_HOME'] = mkdtempSync(join(tmpdir(), 'evenkeel-tuning-'));
    store.current = memoryStore();
  });
  afterEach(() => {
    rmSync(process.env['XDG_CACHE_HOME'] as string, { recursive: true });
    if (before === undefined) delete process.env['XDG_CACHE_HOME'];
    else process.env['XDG_CACHE_HOME'] = before;
  });
  afterAll(async () => void await useDevice('webgpu', [webgpu()]));

  /** A run whose loss is smaller where the quick way is taken: the ways of its steps, the losses, and the classes that were tuned. */
  async function run({ steps, resume = false, capture = false, signal }: { steps: number; resume?: boolean; capture?: boolean; signal?: AbortSignal }) {
    const params = { w: param(() => scalar(1)) };
    const ways: string[] = [];
    const losses: number[] = [];
    const tuned: (string | number)[][] = [];
    await train({
      params, steps, seed: 1, resume, capture, store: store.current, checkpointEvery: 2, optimizer: sgd({ learningRate: 0.1 }),
      batches: (step) => ({ x: tensor1d([1, step + 2]) }),
      loss: (p, { x }) => {
        ways.push(slowOrQuick(gpuProgram));
        return mean(square(sub(mul(x, p.w), ways.at(-1) === 'slow' ? 2 : 1.5))) as Scalar;
      },
      callbacks: { onStep: ({ loss }) => void losses.push(loss), onTuned: ({ class: of, winner }, left) => void tuned.push([of, winner, left]) },
      ...(signal && { signal }),
    });
    dispose(params);
    return { ways, losses, tuned };
  }

  it('train() times kernels after its first step on a device that tunes itself', async () => {
    await freshDevice('auto');
    const { ways, tuned } = await run({ steps: 4 });
    expect(tuned).toEqual([['spin@1 all', 'quick', 0]]);
    expect(ways).toEqual(['slow', 'quick', 'quick', 'quick']);
  });

  it.each([false, true])('train() goes on with the kernels that the run took, whatever was found since: captured %s', async (capture) => {
    await freshDevice('auto');
    const whole = await run({ steps: 8, capture });
    store.current = memoryStore();
    await freshDevice('auto');
    await run({ steps: 4, capture });
    await freshDevice('auto'); // nothing is remembered
    const resumed = await run({ steps: 8, capture, resume: true });
    expect(resumed.tuned).toEqual([]);
    expect(resumed.ways).not.toContain('slow');
    expect(resumed.losses).toEqual(whole.losses.slice(4));
  });

  it('train() times nothing on a device that does not tune itself, and its checkpoints name no kernels', async () => {
    await freshDevice('off');
    const { ways, tuned } = await run({ steps: 4 });
    expect([ways, tuned]).toEqual([['slow', 'slow', 'slow', 'slow'], []]);
    expect(await kernelsOf(store.current)).toBeUndefined();
    await freshDevice('auto');
    store.current = memoryStore();
    await run({ steps: 4 });
    expect((await kernelsOf(store.current))?.winners).toEqual({ 'spin@1 all': 'quick' });
  });
});

async function kernelsOf(store: ReturnType<typeof memoryStore>): Promise<KernelChoices | undefined> {
  const file = await store.openTensors('state/step-00000004.safetensors');
  try {
    return (JSON.parse(file.metadata['evenkeel.training'] as string) as { kernels?: KernelChoices }).kernels;
  } finally {
    await file.close();
  }
}
