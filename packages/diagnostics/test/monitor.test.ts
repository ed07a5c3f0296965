import { ConfigError, param, treeEntries, type Monitor } from '@evenkeel/core-tensor';
import { attentionEntropy, headEntropy, logPartition, monitor, rootMeanSquares } from '@evenkeel/diagnostics';
import { attentionReference } from '@evenkeel/flash-attention';
import { gpt, type GptParams } from '@evenkeel/models-gpt';
import { adamw, chain, clipByGlobalNorm, sgd } from '@evenkeel/optimizers';
import { memoryStore, readMetrics, train, type MonitorMetrics, type TrainOptions } from '@evenkeel/training';
import { expectNoLeak, forEachBackend, readValues } from '@evenkeel/testing';
import { add, clone, dispose, engine, fill, keep, memory, mul, ones, profile, reshape, sum, tensor2d, tidy, zeros, type Tensor, type Tensor2D, type Variable } from '@tensorflow/tfjs-core';
import { describe, expect, it } from 'vitest';

const SIZES = { vocabSize: 17, contextLength: 9, depth: 2, dim: 12, numHeads: 2 } as const;
type Batch = { inputs: Tensor2D; targets: Tensor2D };

/** Rows that count upwards, each from its own start. */
const batchOf = (step: number): Batch => {
  const rows = (offset: number): Tensor2D => tensor2d([0, 1, 2].map((b) => Array.from({ length: 9 }, (_, t) => (7 * step + 3 * b + t + offset) % 17)), [3, 9], 'int32');
  return { inputs: rows(0), targets: rows(1) };
};

type P = ReturnType<ReturnType<typeof gpt>['init']>;
const model = gpt(SIZES);
const runOf = (params: P, rest: Partial<TrainOptions<P, Batch>> = {}): TrainOptions<P, Batch> => ({
  params, batches: batchOf, steps: 6, seed: 1, optimizer: chain(clipByGlobalNorm(1), adamw({ learningRate: 1e-2 })),
  loss: (p, batch, context) => model.loss(batch, p as GptParams, context), ...rest,
});

async function readingsOf(rest: Partial<TrainOptions<P, Batch>>): Promise<{ readings: MonitorMetrics[]; values: number[][] }> {
  const params = model.init({ seed: 1 });
  const store = memoryStore();
  await train(runOf(params, { ...rest, store }));
  const values = await Promise.all(treeEntries<Variable>(params).map(async ([, leaf]) => Array.from(await leaf.data<'float32'>())));
  dispose(params as never);
  return { readings: (await readMetrics(store)).filter((each): each is MonitorMetrics => each.kind === 'monitor'), values };
}

/** What the model tells of in one pass, kept. */
function told(batch: Batch, params: P): Record<string, Tensor> {
  const values: Record<string, Tensor> = {};
  tidy(() => model.loss(batch, params, { train: true, seed: 1, observe: (name, value) => { values[name] = keep(clone(value)); } }));
  return values;
}

const NONE = { entropy: false, logits: false, outputLogits: false, activations: false, parameters: false };
const kernelsOf = async (f: () => void): Promise<string[]> => (await profile(() => tidy(() => { f(); return zeros([1]); }) as Tensor)).kernels.map(({ name }) => name);

forEachBackend(() => {
  describe('monitor()', () => {
    it('reads entropy and largest logit per head, log-partition and root mean squares, as the functions of this package give them', async () => {
      const params = model.init({ seed: 1 });
      const values = told(batchOf(0), params);
      const { readings: [reading] } = await readingsOf({ steps: 1, monitor: monitor() });
      const expectClose = async (name: string, expected: Tensor): Promise<void> => {
        const { data } = await readValues(expected);
        expect(reading!.values[name], name).toHaveLength(data.length);
        data.forEach((value, i) => expect(reading!.values[name]![i]! / value, name).toBeCloseTo(1, 4));
      };
      for (const block of ['blocks.0', 'blocks.1']) {
        await expectClose(`${block}.attn.entropy`, headEntropy(values[`${block}.attn.entropy`]!));
        const rows = (await readValues(values[`${block}.attn.rowMax`]!)).data; // 3 2 9
        expect(reading!.values[`${block}.attn.maxLogit`]!.map((value) => value.toPrecision(4)))
          .toEqual([0, 1].map((h) => Math.max(...[0, 1, 2].flatMap((b) => [...rows.slice((2 * b + h) * 9, (2 * b + h + 1) * 9)])).toPrecision(4)));
        await expectClose(`${block}.out.rms`, rootMeanSquares([values[`${block}.out`]!]));
      }
      await expectClose('embedding.rms', rootMeanSquares([values['embedding']!]));
      await expectClose('logits.logPartition', logPartition(values['logits']!));
      const weight = await readValues((params as unknown as { blocks: { mlp: { up: { weight: Tensor } } }[] }).blocks[1]!.mlp.up.weight);
      const rms = Math.sqrt(weight.data.reduce((total, value) => total + value * value, 0) / weight.data.length);
      expect(reading!.values['blocks.1.mlp.up.weight.rms']![0]! / rms).toBeCloseTo(1, 4);
      expect(Object.keys(reading!.values)).toHaveLength(2 * 3 + 2 + 3 * treeEntries(params).length);
      expect(reading!.findings).toEqual([]);
    });

    it('reads gradients and updates of their own parameters', async () => {
      const params = { a: param(() => ones([3])), deep: [param(() => fill([2, 2], 2))] };
      const store = memoryStore();
      await train({
        params, steps: 1, seed: 1, batches: () => ({}), optimizer: sgd({ learningRate: 0.1 }), store, monitor: monitor({ every: 1 }),
        loss: ({ a, deep }) => add(sum(mul(a, 3)), sum(mul(deep[0]!, 5))),
      });
      const [, reading] = await readMetrics(store) as [unknown, MonitorMetrics];
      expect(Object.fromEntries(Object.entries(reading.values).map(([name, [value]]) => [name, Number(value!.toPrecision(4))]))).toEqual({
        'a.rms': 1, 'deep.0.rms': 2, 'a.gradientRms': 3, 'deep.0.gradientRms': 5, 'a.updateRms': 0.3, 'deep.0.updateRms': 0.5,
      });
      dispose(params as never);
    });

    it('shows AdamW steps of size 1 where gradients are far above eps, and of RMS(g)/eps far below', async () => {
      const params = { large: param(() => zeros([5])), small: param(() => zeros([5])) };
      const store = memoryStore();
      await train({
        params, steps: 3, seed: 1, batches: () => ({}), optimizer: adamw({ learningRate: 1, weightDecay: 0 }), store, monitor: monitor({ every: 1 }),
        loss: ({ large, small }) => add(sum(mul(large, 1e-3)), sum(mul(small, 1e-11))),
      });
      const { values } = (await readMetrics(store)).at(-1) as MonitorMetrics;
      expect(values['large.updateRms']![0]).toBeCloseTo(1, 3);
      expect(values['small.updateRms']![0]).toBeCloseTo(1e-3, 5);
      dispose(params as never);
    });

    it('changes nothing of the run, whether its steps are captured or not, and leaves no tensor behind', async () => {
      const before = memory().numTensors;
      const plain = await readingsOf({ steps: 40 });
      const watched = await readingsOf({ steps: 40, monitor: monitor({ every: 8 }) });
      expect(watched.values).toEqual(plain.values);
      expect(watched.readings.map(({ step }) => step)).toEqual([1, 8, 16, 24, 32, 40]);
      const eager = await readingsOf({ steps: 40, monitor: monitor({ every: 8 }), capture: false });
      expect(watched.readings).toEqual(eager.readings);
      expect(memory().numTensors).toBe(before);
    });

    it('does nothing between readings: a step runs the kernels that it runs without a monitor', async () => {
      const count = async (every: number | undefined): Promise<number[]> => {
        const params = model.init({ seed: 1 });
        const counts: number[] = [];
        const { runKernel } = engine();
        let kernels = 0;
        engine().runKernel = function counted(this: unknown, ...args) { kernels += 1; return runKernel.apply(engine(), args); } as typeof runKernel;
        try {
          const onStep = (): void => { counts.push(kernels); kernels = 0; };
          await train(runOf(params, { capture: false, callbacks: { onStep }, ...(every !== undefined && { monitor: monitor({ every }) }) }));
        } finally {
          engine().runKernel = runKernel;
        }
        dispose(params as never);
        return counts;
      };
      const [plain, watched] = [await count(undefined), await count(5)];
      const more = watched.map((kernels, step) => kernels - plain[step]!);
      expect(more.map((kernels) => kernels > 0)).toEqual([true, false, false, false, true, false]);
      expect(more.filter((kernels) => kernels !== more[0] && kernels !== 0)).toEqual([]);
    });

    it('runs no kernel for what is not watched', async () => {
      const nothing = monitor({ watch: NONE });
      expect(nothing.measure).toBeUndefined();
      const x = ones([2, 2, 3]);
      for (const name of ['embedding', 'logits', 'blocks.0.out', 'blocks.0.attn.entropy', 'blocks.0.attn.rowMax', 'blocks.0.attn.out', 'blocks.0.mlp.out']) {
        const baseline = await kernelsOf(() => {});
        expect(await kernelsOf(() => expect(nothing.observe(name, x)).toBeUndefined()), name).toEqual(baseline);
      }
      expect(monitor().observe('blocks.0.attn.out', x)).toBeUndefined();
      expect(monitor().observe('blocks.0.something', x)).toBeUndefined();
      expect(Object.keys(monitor({ watch: { ...NONE, branches: true } }).observe('blocks.0.attn.out', x)!)).toEqual(['blocks.0.attn.out.rms']);
    });

    it('adds exactly what it gives', async () => {
      const values = told(batchOf(0), model.init({ seed: 1 }));
      for (const [name, value] of Object.entries(values)) await expectNoLeak(() => monitor({ watch: { branches: true } }).observe(name, value));
      const params = { weight: param(() => ones([3])) };
      const step = { params, grads: { weight: ones([3]) }, updates: { weight: ones([3]) } };
      await expectNoLeak(() => monitor().measure!(step));
    });

    it('works beside any attention, and has nothing to say of sequences of one token', async () => {
      const other = gpt({ ...SIZES, attention: attentionReference });
      const names: string[] = [];
      const observe = (watch: Monitor) => (name: string, value: Tensor): void => void names.push(...Object.keys(watch.observe(name, value) ?? {}));
      tidy(() => other.apply(batchOf(0).inputs, other.init({ seed: 1 }), { observe: observe(monitor()) }));
      expect(names).toContain('blocks.1.attn.entropy');
      expect(monitor().observe('blocks.0.attn.entropy', zeros([2, 3, 1]))).toBeUndefined();
    });

    it('divides entropies by what its queries see', async () => {
      const entropy = reshape(attentionEntropy(fill([2, 2], 0.5)), [1, 1, 2]);
      const read = async (given: Monitor): Promise<number> => (await given.observe('attn.entropy', entropy)!['attn.entropy']!.data())[0] as number;
      expect(await read(monitor())).toBeCloseTo(1, 6); // the first query of two does not count
      expect(await read(monitor({ visibleKeys: 'all' }))).toBeCloseTo(1, 6);
      expect(await read(monitor({ visibleKeys: () => 4 }))).toBeCloseTo(0.5, 6);
    });

    it('refuses options that it does not know', () => {
      expect(() => monitor({ every: 0 })).toThrow(new ConfigError('monitor: every must be an integer ≥ 1, got 0'));
      expect(() => monitor({ watch: { entropies: true } as never })).toThrow('monitor: watch must be made of entropy, logits, outputLogits, activations, branches, parameters, got entropies');
      expect(() => monitor({ watch: { entropy: 'no' as never } })).toThrow('monitor: watch.entropy must be true or false, got no');
      expect(() => monitor({ visibleKeys: 'some' as never })).toThrow('monitor: visibleKeys must be one of causal, all, got some');
      expect(() => monitor({ thresholds: { loss: 1 } as never })).toThrow('monitor: thresholds must be made of lossSpike, entropy, attentionLogit, logPartition, eps, got loss');
      expect(() => monitor({ thresholds: { eps: -1 } })).toThrow('monitor: thresholds.eps must be between 0 and 1, got -1');
      expect(() => monitor({ thresholds: { entropy: 2 } })).toThrow('monitor: thresholds.entropy must be between 0 and 1, got 2');
    });
  });
});
