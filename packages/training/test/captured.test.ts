import { dropout } from '@evenkeel/layers';
import { memoryStore, NonFiniteError, train, type StepContext } from '@evenkeel/training';
import { forEachBackend } from '@evenkeel/testing';
import { add, backend, mean, mul, square, sub, matMul, type Tensor, type Tensor2D } from '@tensorflow/tfjs-core';
import { describe, expect, it } from 'vitest';
import { makeParams, tinyRun, type TinyBatch, type TinyParams } from './fixtures/tinyRun.ts';
import { free, metricsOf, runTiny, valuesOf } from './helpers.ts';

/** Like the tiny loss, with its noise from a kernel that a replay can draw anew. */
const loss = ({ blocks: [block], down }: TinyParams, { x, y }: TinyBatch, { seed }: Pick<StepContext, 'seed'>): Tensor => {
  const hidden = add(matMul(x, block!.up as unknown as Tensor2D), block!.bias);
  return mean(square(sub(matMul(dropout(hidden as Tensor2D, { rate: 0.2, seed, train: true }), down as unknown as Tensor2D), y)));
};

/** Runs `f` on the same device as if it could not replay steps. */
async function withoutCapture<T>(f: () => Promise<T>): Promise<T> {
  const device = backend() as unknown as { capture?: unknown };
  Object.defineProperty(device, 'capture', { value: undefined, configurable: true, writable: true });
  try {
    return await f();
  } finally {
    delete device.capture;
  }
}

forEachBackend(['evenkeel-webgpu'], () => {
  describe('train(options) on a device that replays steps', () => {
    it('gives the metrics and parameters of a run whose JavaScript runs in every step, bit for bit', async () => {
      let calls = 0;
      const counted: typeof loss = (...args) => (calls += 1, loss(...args));
      const captured = await runTiny({ loss: counted });
      expect(calls).toBeLessThan(10);
      const eager = await withoutCapture(() => runTiny({ loss: counted }));
      expect(calls).toBeGreaterThan(30);
      expect(captured.metrics).toEqual(eager.metrics);
      expect(captured.values).toEqual(eager.values);
    });

    it('gives them with micro-batches, each of which draws its own noise', async () => {
      const halves = { loss, microBatches: 5 };
      let calls = 0;
      const captured = await runTiny({ ...halves, loss: (...args) => (calls += 1, loss(...args)) });
      expect(calls).toBeLessThan(10 * 5);
      expect(captured.metrics).toEqual((await withoutCapture(() => runTiny(halves))).metrics);
      expect(captured.metrics).not.toEqual((await runTiny({ loss })).metrics);
    });

    it('replays the steps of a loss that copies its context, as layers do when they hand their options on', async () => {
      let calls = 0;
      const seen: number[] = [];
      const copying: NonNullable<Parameters<typeof runTiny>[0]>['loss'] = (params, batch, context) => (calls += 1, loss(params, batch, { ...context }));
      const captured = await runTiny({ loss: copying });
      expect(calls).toBeLessThan(10);
      await runTiny({ steps: 3, loss: (params, batch, context) => (seen.push(context.step), loss(params, batch, context)) });
      expect([...new Set(seen)]).toEqual([0, 1, 2]); // and it can be read, at the price of the capture
      expect(captured.metrics).toEqual((await runTiny({ loss })).metrics);
    });

    it('goes on from a checkpoint as if nothing had happened', async () => {
      const whole = await runTiny({ loss });
      const store = memoryStore();
      await runTiny({ loss, store, steps: 16 });
      const params = makeParams(5);
      await train(tinyRun(params, { loss, store, resume: true }));
      expect(await valuesOf(params)).toEqual(whole.values);
      const steps = (metrics: object[]): object[] => metrics.filter((each) => (each as { kind: string }).kind === 'step'); // 16 steps end with an evaluation more
      expect(steps(await metricsOf(store))).toEqual(steps(whole.metrics));
      free(params);
    });

    it('stops on a loss that is not finite with the parameters as they were, and says where it began', async () => {
      const params = makeParams();
      const seen: Record<string, number[]>[] = [];
      const poisoned = (step: number): TinyBatch => {
        const batch = tinyRun(params).batches(step) as TinyBatch;
        return step === 20 ? { ...batch, x: mul(batch.x, NaN) as Tensor2D } : batch;
      };
      const run = train(tinyRun(params, { loss, batches: poisoned, callbacks: { onStep: async () => void seen.push(await valuesOf(params)) } }));
      await expect(run).rejects.toThrow(NonFiniteError);
      await expect(run).rejects.toMatchObject({ step: 21, quantity: 'loss', path: 'blocks.0.up' });
      expect(seen).toHaveLength(20);
      expect(await valuesOf(params)).toEqual(seen.at(-1));
      free(params);
    });
  });
});
