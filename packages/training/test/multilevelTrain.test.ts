import { add, memory, mul, scalar, type Tensor, type Variable } from '@tensorflow/tfjs-core';
import { stateVariable, type GradientTransform, type Params, type Tree } from '@evenkeel/core-tensor';
import { decoalesce, interpolate } from '@evenkeel/multilevel';
import { sgd } from '@evenkeel/optimizers';
import { memoryStore, multilevelTrain, NonFiniteError, readMetrics, stageStore, type Level, type MultilevelOptions, type MultilevelResult, type Stage } from '@evenkeel/training';
import { expectNoLeak, forEachBackend } from '@evenkeel/testing';
import { describe, expect, it } from 'vitest';
import { cycleBatch, tinyCycle, tinyLevel, type CycleBatch, type CycleParams } from './fixtures/tinyCycle.ts';
import { free, metricsOf, valuesOf } from './helpers.ts';

type Files = Map<string, Uint8Array | string>;
type Options = Partial<MultilevelOptions<CycleParams, CycleBatch>>;

/** Runs a cycle and frees it; what each stage began with, what came out, and the metrics of every stage. */
async function run(more: Options = {}) {
  const started: Promise<Record<string, number[]>>[] = [];
  const store = more.store ?? memoryStore();
  const { params, ...rest } = await multilevelTrain(tinyCycle({ ...more, store, stageOptions: (stage, own) => {
    started.push(valuesOf(own));
    return { checkpointEvery: 2, ...more.stageOptions?.(stage, own) };
  } }));
  const [values, metrics] = [await valuesOf(params), await Promise.all(rest.stages.map((stage) => metricsOf(stageStore(store, stage))))];
  free(params);
  return { ...rest, started: await Promise.all(started), values, metrics, store };
}

/** A level whose loss is not a number. */
const broken = (level: number): Level<CycleParams, CycleBatch> => {
  const model = tinyLevel(level);
  return { ...model, loss: (batch, params, context) => mul(model.loss(batch, params, context), NaN) };
};

const still = (): GradientTransform => sgd({ learningRate: 1e-30 }); // a learning rate must be positive

forEachBackend((backend) => {
  describe('multilevelTrain', () => {
    it('goes through its stages in order, each with an optimizer of its own and batches that go on', async () => {
      const [asked, steps, told]: [Stage[], number[], string[]] = [[], [], []];
      const { stages, flops, interrupted } = await run({
        steps: [3, 2, 2], initSteps: [2, 1],
        optimizerFor: (stage) => { asked.push(stage); return sgd({ learningRate: 0.1 }) as GradientTransform; },
        batches: (step) => { steps.push(step); return cycleBatch(step); },
        stageOptions: () => ({ capture: false }),
        callbacks: { onStage: ({ index }) => void told.push(`stage ${index}`), onStep: ({ step }, { level, phase }) => void told.push(`${phase} ${level} ${step}`) },
      });
      expect(asked.map(({ level, phase }) => `${phase} ${level}`)).toEqual(['down 0', 'down 1', 'bottom 2', 'up 1', 'up 0']);
      expect(steps).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
      expect(told.slice(0, 6)).toEqual(['stage 0', 'down 0 1', 'down 0 2', 'stage 1', 'down 1 1', 'stage 2']);
      expect(stages.map(({ steps: planned, result }) => [planned, result.steps])).toEqual([[2, 2], [1, 1], [2, 2], [2, 2], [3, 3]]);
      expect([flops, interrupted]).toEqual([stages.reduce((sum, stage) => sum + 6 * stage.parameters * 10 * stage.steps, 0), false]);
    });

    it('goes on from (1 − alpha) · before + alpha · decoalesced, where before is what the first stage left', async () => {
      const options = { optimizerFor: (stage: Stage) => (stage.phase === 'up' ? still() : sgd({ learningRate: 0.3 })) as GradientTransform };
      for (const alpha of [0, 0.25, 1]) {
        const kept: { saved?: Params; small?: Params } = {};
        const copy = (params: CycleParams): Params => interpolate(params, params, 0);
        const held: CycleParams[] = [];
        const { started } = await run({ ...options, alpha, stageOptions: (stage, own) => { held[stage.index] = own; return { capture: false }; },
          callbacks: { onCheckpoint: ({ step }, { index, steps }) => {
            if (step === steps && index === 0) kept.saved = copy(held[0]!);
            if (step === steps && index === 1) kept.small = copy(held[1]!);
          } } });
        const grown = decoalesce(kept.small!, tinyLevel(1).specs, tinyLevel(0).specs);
        const expected = interpolate(kept.saved!, grown, alpha);
        expect(started[2]).toEqual(await valuesOf(expected));
        expect(started[2]).not.toEqual(started[0]);
        free(kept, grown, expected);
      }
    });

    it('ended after any step and resumed gives what an uninterrupted cycle gives, bit for bit', async () => {
      const options: Options = { steps: [3, 3], initSteps: 3 };
      const whole = await run(options);
      for (const last of backend === 'evenkeel-webgpu' ? [4] : [1, 3, 4, 6, 8]) {
        const [files, stop]: [Files, AbortController] = [new Map(), new AbortController()];
        let count = 0;
        const part = await run({ ...options, store: memoryStore(files), signal: stop.signal, callbacks: { onStep: () => { if (++count === last) stop.abort(); } } });
        expect(part.interrupted).toBe(true);
        expect(part.flops).toBeLessThan(whole.flops);
        const resumed = await run({ ...options, store: memoryStore(files), resume: true });
        expect(resumed.values).toEqual(whole.values);
        expect(resumed.metrics).toEqual(whole.metrics);
        expect([resumed.interrupted, resumed.flops]).toEqual([false, whole.flops]);
      }
    });

    it('frees everything but the parameters of the first level, also when a stage fails', async () => {
      await expectNoLeak(async () => (await multilevelTrain(tinyCycle({ steps: [2, 2, 2], initSteps: 1 }))).params);
      const failing = broken(1);
      await expectNoLeak(() => multilevelTrain(tinyCycle({ levels: [tinyLevel(0), failing], stageOptions: () => ({ capture: false }) })), { throws: 'must be finite, got NaN' });
    });

    it('untrained state is made anew for each stage and follows it', async () => {
      /** A GPT with one untrained value that counts its updates, from the number of blocks. */
      const counting = (level: number) => {
        const model = tinyLevel(level, { dropout: 0 });
        return { ...model, state: {
          init: () => ({ count: stateVariable(() => scalar(10 * model.config.depth)) }),
          update: (_: Tree<Tensor>, { count }: { count: Variable }) => { count.assign(add(count, 1)); },
        } as never };
      };
      const finalCounts = async (options: Options): Promise<number[]> => {
        const store = options.store ?? memoryStore();
        const { stages } = await run({ levels: [counting(0), counting(1)], ...options, store });
        return Promise.all(stages.map(async (stage) => {
          const file = await stageStore(store, stage).openTensors(stage.result.checkpoint!);
          return (await file.read('state.count')).data[0] as number;
        }));
      };
      expect(await finalCounts({})).toEqual([43, 24, 45]);
    });
  });
});

forEachBackend(['evenkeel-wasm'], () => {
  describe('multilevelTrain and its store', () => {
    it('learns to count: the loss of each later stage ends below that of the first, and readMetrics tells each stage', async () => {
      const { metrics, stages, store } = await run({ steps: [60, 60], initSteps: 10, levels: [tinyLevel(0, { dropout: 0 }), tinyLevel(1, { dropout: 0 })] });
      const losses = stages.map(({ result }) => result.trainLoss);
      expect(losses[2]).toBeLessThan(0.5 * losses[0]!);
      expect(metrics.map((each) => each.filter((line) => (line as { kind: string }).kind === 'step').length)).toEqual([10, 60, 60]);
      expect(await readMetrics(stageStore(store, stages[1]!))).toHaveLength(60);
    });

    it('trains tied embeddings where the levels have their factors of the logits', async () => {
      const levels = [tinyLevel(0, { tiedHead: true }), tinyLevel(1, { tiedHead: true, logitScale: 2 })];
      expect((await run({ levels })).interrupted).toBe(false);
      await expect(run({ levels: [levels[0]!, tinyLevel(1, { tiedHead: true })] }))
        .rejects.toThrow('multilevelTrain: levels[1] must fit levels[0]: checkMaps: logitScale.small must be 2 · logitScale.large, since tokenEmbedding.weight is the head too');
    });

    it('is not gone on with by another cycle, nor written over; the last stage alone may be prolonged', async () => {
      const files: Files = new Map();
      const first = await run({ store: memoryStore(files), config: { rate: 1 } });
      const again = (more: Options): Promise<unknown> => run({ store: memoryStore(files), config: { rate: 1 }, resume: true, ...more });
      await expect(again({ resume: false })).rejects.toThrow("multilevelTrain: store must be empty unless resume is true, got a cycle's multilevel.json. Resume it or choose another place.");
      await expect(again({ alpha: 0.25 })).rejects.toThrow('multilevelTrain: multilevel.json must be of the same cycle, got another: alpha: 0.5 in the checkpoint, 0.25 now');
      await expect(again({ initSteps: 4 })).rejects.toThrow('got another: stages.0.steps: 3 in the checkpoint, 4 now');
      await expect(again({ depthGrouping: 'stacked', config: { rate: 2 } })).rejects.toThrow('depthGrouping: "adjacent" in the checkpoint, "stacked" now; config.rate: 1 in the checkpoint, 2 now');
      const longer = await run({ store: memoryStore(files), config: { rate: 1 }, resume: true, steps: [8, 4] });
      expect([longer.stages[2]!.result.resumedFrom, longer.stages[2]!.result.steps]).toEqual([5, 8]);
      expect(longer.started.slice(0, 2)).toEqual(first.started.slice(0, 2));
      files.set('multilevel.json', 'half');
      await expect(again({})).rejects.toThrow('multilevelTrain: multilevel.json must be JSON, got "half"');
    });

    it('asks whether the levels fit before it trains', async () => {
      const steps: number[] = [];
      const misfit = tinyCycle({ levels: [tinyLevel(0), tinyLevel(1, { numHeads: 4 })], batches: (step) => { steps.push(step); return cycleBatch(step); } });
      await expect(multilevelTrain(misfit)).rejects.toThrow('multilevelTrain: levels[1] must fit levels[0]: checkMaps: blocks.0.attn.qkv.weight must have the same headDim in both models, got 2 in the small one and 4 in the large one');
      await expect(multilevelTrain(tinyCycle({ alpha: 2 }))).rejects.toThrow('multilevelTrain: alpha must be between 0 and 1, got 2');
      await expect(multilevelTrain(tinyCycle({ seed: -1 }))).rejects.toThrow('multilevelTrain: seed must be an integer ≥ 0, got -1');
      expect(steps).toEqual([]);
    });

    it('lets nobody else into its store while it runs, and gives it free, also after an error', async () => {
      const log: string[] = [];
      const store = { ...memoryStore(), lock: async () => { log.push('locked'); return async () => void log.push('free'); } };
      await run({ store });
      await expect(run({ store: { ...store, ...memoryStore() }, levels: [broken(0), tinyLevel(1)] })).rejects.toThrow(NonFiniteError);
      expect(log).toEqual(['locked', 'free', 'locked', 'free']);
      const before = memory().numTensors;
      expect((await run() satisfies Omit<MultilevelResult<CycleParams>, 'params'>).interrupted).toBe(false);
      expect(memory().numTensors).toBe(before);
    });
  });
});
