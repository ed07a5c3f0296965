import { mul } from '@tensorflow/tfjs-core';
import { ConfigError } from '@evenkeel/core-tensor';
import { sgd } from '@evenkeel/optimizers';
import { memoryStore, NonFiniteError, train, type Resumed, type RunStore, type StepContext } from '@evenkeel/training';
import { expectNoLeak, forEachBackend } from '@evenkeel/testing';
import { describe, expect, it } from 'vitest';
import { makeParams, tinyLoss, tinyRun } from './fixtures/tinyRun.ts';
import { free, runTiny, valuesOf } from './helpers.ts';

type MemoryStore = ReturnType<typeof memoryStore>;

/** A store whose power is cut in the middle of its n-th change: whole files are written or not, an appended line is torn. */
function failingStore(inner: MemoryStore, changes: number, error = new Error('power cut')): RunStore {
  let left = changes;
  const change = async (work: () => Promise<void>, torn: () => Promise<void> = async () => {}): Promise<void> => {
    if (left-- > 0) return work();
    await torn();
    throw error;
  };
  return {
    ...inner,
    remove: (path) => change(() => inner.remove(path)),
    writeText: (path, text) => change(() => inner.writeText(path, text)),
    appendText: (path, text) => change(() => inner.appendText(path, text), () => inner.appendText(path, text.slice(0, text.length / 2))),
    writeTensors: (path, tensors, metadata) => change(() => inner.writeTensors(path, tensors, metadata)),
  };
}

const damage = (store: MemoryStore, path: string, change: (bytes: Uint8Array) => Uint8Array): void =>
  void store.files.set(path, change(Uint8Array.from(store.files.get(path) as Uint8Array)));

const flipped = (at: number, mask: number) => (bytes: Uint8Array): Uint8Array => {
  bytes[at] = (bytes[at] as number) ^ mask;
  return bytes;
};

/** A run of 12 steps that was stopped after 8, in the state in which it lies on the disk. */
async function stopped(): Promise<MemoryStore> {
  const store = memoryStore();
  const controller = new AbortController();
  await runTiny({ store, steps: 12, signal: controller.signal, callbacks: { onStep: ({ step }) => { if (step === 8) controller.abort(); } } });
  return store;
}

const copyOf = (store: MemoryStore): MemoryStore => memoryStore(new Map(store.files));

forEachBackend(['cpu', 'evenkeel-wasm'], () => {
  it('train({ resume: true }) after a power cut at any change of the storage repeats the uninterrupted run bit for bit', async () => {
    const whole = await runTiny({ steps: 12 });
    let cuts = 0;
    for (let changes = 0; ; changes++) {
      const store = memoryStore();
      const error: unknown = await runTiny({ steps: 12, store: failingStore(store, changes) }).catch((cause: unknown) => cause);
      if (!(error instanceof Error)) break;
      expect(error.message).toBe('power cut');
      cuts++;
      const isFresh = (await store.list('state')).length === 0;
      const resumed = await runTiny({ steps: 12, store, resume: true }, isFresh ? 1 : 77); // the first values are overwritten
      expect(resumed.result.resumedFrom === undefined).toBe(isFresh);
      expect(resumed.metrics).toEqual(whole.metrics);
      expect(resumed.values).toEqual(whole.values);
      expect(resumed.result).toMatchObject({ trainLoss: whole.result.trainLoss, valLoss: whole.result.valLoss });
    }
    // One empty metrics file, 12 steps, 2 evaluations, 3 checkpoints, 1 removal.
    expect(cuts).toBe(19);
  });
});

describe('train({ signal })', () => {
  it('finishes the step, writes a checkpoint and can be resumed bit for bit, at every step', async () => {
    const whole = await runTiny({ steps: 9 });
    for (let last = 1; last < 9; last++) {
      const store = memoryStore();
      const controller = new AbortController();
      const callbacks = { onStep: ({ step }: { step: number }) => { if (step === last) controller.abort(); } };
      const interrupted = await runTiny({ steps: 9, store, signal: controller.signal, callbacks });
      expect(interrupted.result).toMatchObject({ steps: last, interrupted: true, checkpoint: `state/step-0000000${last}.safetensors` });
      const resumed = await runTiny({ steps: 9, store, resume: true });
      expect(resumed.result).toMatchObject({ steps: 9, interrupted: false, resumedFrom: last });
      expect(resumed.metrics).toEqual(whole.metrics);
      expect(resumed.values).toEqual(whole.values);
    }
  });

  it('that is aborted beforehand does no step', async () => {
    const { result, store } = await runTiny({ signal: AbortSignal.abort() });
    expect(result).toMatchObject({ steps: 0, interrupted: true, trainLoss: NaN });
    expect(await store.list('state')).toEqual(['step-00000000.safetensors']);
  });
});

describe('train({ resume: true })', () => {
  it('starts anew in an empty store, and does nothing more to a finished run', async () => {
    const store = memoryStore();
    const first = await runTiny({ store, resume: true, steps: 5 });
    const again = await runTiny({ store, resume: true, steps: 5 });
    expect(first.result.resumedFrom).toBeUndefined();
    expect(again.result).toMatchObject({ resumedFrom: 5, steps: 5, interrupted: false, trainLoss: first.result.trainLoss, valLoss: first.result.valLoss, msPerStep: first.result.msPerStep });
    expect(again.metrics).toEqual(first.metrics);
  });

  it('skips a damaged checkpoint, says why, and still repeats the uninterrupted run', async () => {
    const whole = await runTiny({ steps: 12 });
    const store = await stopped();
    damage(store, 'state/step-00000008.safetensors', (bytes) => bytes.subarray(0, bytes.length - 100));
    const notices: Resumed[] = [];
    const resumed = await runTiny({ steps: 12, store, resume: true, callbacks: { onResume: (notice) => void notices.push(notice) } });
    expect(notices).toMatchObject([{ step: 4, path: 'state/step-00000004.safetensors', skipped: [{ path: 'state/step-00000008.safetensors', reason: expect.stringContaining('truncated') as string }] }]);
    expect(resumed.metrics).toEqual(whole.metrics);
    expect(resumed.values).toEqual(whole.values);
  });

  it('removes a damaged checkpoint of a later step once it has written one of its own', async () => {
    const store = await stopped();
    damage(store, 'state/step-00000008.safetensors', () => new Uint8Array(0));
    await runTiny({ steps: 12, store, resume: true, checkpointEvery: 6, signal: undefined, callbacks: {
      onCheckpoint: async ({ step }) => { if (step === 6) expect((await store.list('state')).sort()).toEqual(['step-00000004.safetensors', 'step-00000006.safetensors']); },
    } });
    expect((await store.list('state')).sort()).toEqual(['step-00000006.safetensors', 'step-00000012.safetensors']);
  });

  it.each([
    ['is missing', (): string | undefined => undefined, 8],
    ['lacks the end', (text: string): string => text.split('\n').slice(0, 6).join('\n'), 3],
    ['lacks the middle', (text: string): string => text.split('\n').filter((_, i) => i !== 2).join('\n'), 1],
    ['is whole', (text: string): string => text, 0],
  ])('says how many steps have no metrics if the file of them %s', async (_, change, missing) => {
    const store = await stopped();
    const changed = change(store.files.get('metrics.jsonl') as string);
    if (changed === undefined) store.files.delete('metrics.jsonl');
    else store.files.set('metrics.jsonl', changed);
    const notices: Resumed[] = [];
    const { result } = await runTiny({ store, resume: true, steps: 12, callbacks: { onResume: (notice) => void notices.push(notice) } });
    expect(notices).toEqual([{ step: 8, path: 'state/step-00000008.safetensors', skipped: [], missingMetrics: missing }]);
    expect(result.trainLoss).toBeGreaterThan(0);
  });

  it('leaves a checkpoint beyond its own that it did not find damaged: another run wrote it meanwhile', async () => {
    const store = await stopped();
    const late = 'state/step-00000099.safetensors';
    const write = async ({ step }: { step: number }): Promise<void> => { if (step === 9) store.files.set(late, store.files.get('state/step-00000008.safetensors')!); };
    await runTiny({ store, resume: true, steps: 12, callbacks: { onStep: write } });
    expect((await store.list('state')).sort()).toEqual(['step-00000008.safetensors', 'step-00000012.safetensors', 'step-00000099.safetensors']);
  });

  it('never loads a checkpoint with a changed byte: it is skipped, or the byte did not matter', async () => {
    const original = await stopped();
    const path = 'state/step-00000008.safetensors';
    const size = (original.files.get(path) as Uint8Array).length;
    const wholeValues = (await runTiny({ steps: 8, store: copyOf(original), resume: true })).values;
    let [skips, loads] = [0, 0];
    for (let trial = 0; trial < 200; trial++) {
      const store = copyOf(original);
      damage(store, path, flipped((trial * 7919) % size, 1 << (trial % 8)));
      const { result, values } = await runTiny({ steps: 8, store, resume: true });
      if (result.resumedFrom === 4) skips++;
      else loads++;
      expect(values).toEqual(wholeValues); // repeating steps 5 to 8 gives the same
    }
    expect(skips).toBeGreaterThan(175);
    expect(skips + loads).toBe(200);
  });

  it('with nothing but damaged checkpoints is an error that lists them', async () => {
    const store = await stopped();
    for (const step of [4, 8]) damage(store, `state/step-0000000${step}.safetensors`, () => Uint8Array.of(1, 2, 3));
    await expect(runTiny({ store, resume: true })).rejects.toThrow(
      /^train: store must hold a checkpoint that is whole, got 2 damaged: state\/step-00000008\.safetensors: .*; state\/step-00000004\.safetensors: /);
  });

  it('with another seed or configuration names what differs and changes nothing', async () => {
    const store = await stopped();
    const params = makeParams(5);
    const before = await valuesOf(params);
    const config = { model: { hidden: 14, layers: [1, 3] }, learningRate: 0.02, dropout: 0.1 };
    await expectNoLeak(() => train(tinyRun(params, { store, resume: true, steps: 12, seed: 4, config })), {
      throws: 'train: state/step-00000008.safetensors must be of the same run, got another configuration: seed: 3 in the checkpoint, 4 now; '
        + 'model.hidden: 13 in the checkpoint, 14 now; model.layers.1: 2 in the checkpoint, 3 now; dropout: absent in the checkpoint, 0.1 now',
    });
    expect(await valuesOf(params)).toEqual(before);
    free(params);
  });

  it('with a model of other shapes, or another optimizer, names what differs and changes nothing', async () => {
    const store = await stopped();
    const params = makeParams(5, 14);
    const before = await valuesOf(params);
    await expect(train(tinyRun(params, { store, resume: true, steps: 12 }))).rejects.toThrow(/"params\.blocks\.0\.up" must have shape \[3, 14\], got \[3, 13\]/);
    expect(await valuesOf(params)).toEqual(before);
    const fitting = makeParams(5);
    await expect(train(tinyRun(fitting, { store, resume: true, steps: 12, optimizer: sgd({ learningRate: 0.1, momentum: 0.9 }) })))
      .rejects.toThrow(/missing \(3\): "optimizer\.links\.0\.mu\.blocks\.0\.up".*; unexpected \(6\): "optimizer\.links\.1\.mu/);
    await expect(train(tinyRun(fitting, { store, resume: true, steps: 12, optimizer: sgd({ learningRate: 0.1 }) }))).rejects.toThrow('unexpected (6)');
    free(params, fitting);
  });

  it('with fewer steps than are done says so', async () => {
    const store = await stopped();
    await expect(runTiny({ store, resume: true, steps: 7 })).rejects.toThrow('train: steps must be at least the 8 that state/step-00000008.safetensors has done, got 7');
  });

  it('ignores files that are no checkpoints', async () => {
    const store = await stopped();
    store.files.set('state/step-00000099.safetensors.tmp-1-0', Uint8Array.of(1));
    store.files.set('state/notes.txt', 'mine');
    expect((await runTiny({ store, resume: true, steps: 12 })).result.resumedFrom).toBe(8);
    expect(store.files.get('state/notes.txt')).toBe('mine');
  });
});

it.each(['open', 'read'] as const)('train({ resume: true }) ends when the storage fails to %s a checkpoint, which may be whole, and removes none', async (when) => {
  const store = await stopped();
  const denied = new ConfigError('store: state/step-00000008.safetensors must be readable, got an input/output error (EIO)', {
    cause: Object.assign(new Error('EIO: i/o error, read'), { code: 'EIO' }),
  });
  const fail = async (): Promise<never> => { throw denied; };
  const failing: RunStore = {
    ...store,
    openTensors: async (path) => {
      if (!path.includes('00000008')) return store.openTensors(path);
      return when === 'open' ? fail() : { ...await store.openTensors(path), read: fail };
    },
  };
  const before = new Map(store.files);
  await expect(runTiny({ store: failing, resume: true, steps: 12 })).rejects.toBe(denied);
  expect(store.files).toEqual(before);
});

it('train(options) without resume refuses a store with checkpoints and leaves it alone', async () => {
  const store = await stopped();
  const before = new Map(store.files);
  await expect(runTiny({ store })).rejects.toThrow('train: store must be empty unless resume is true, got a run with a checkpoint of step 8.');
  expect(store.files).toEqual(before);
});

it('train(options) on a full disk ends with the reason and keeps the checkpoint before', async () => {
  const store = memoryStore();
  const full = Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' });
  const controller: RunStore = { ...store, writeTensors: async (path, ...rest) => { if (path.includes('00000008')) throw full; return store.writeTensors(path, ...rest); } };
  const params = makeParams();
  await expectNoLeak(() => train(tinyRun(params, { store: controller })), { throws: 'no space left on device' });
  free(params);
  expect(await store.list('state')).toEqual(['step-00000004.safetensors']);
  const resumed = await runTiny({ store, resume: true });
  expect(resumed.result.resumedFrom).toBe(4);
  expect(resumed.metrics).toEqual((await runTiny()).metrics);
});

it('train({ resume: true }) after a NaN goes on from the last good checkpoint', async () => {
  const store = memoryStore();
  const poisoned: typeof tinyLoss = (params, batch, context) => mul(tinyLoss(params, batch, context), (context as StepContext).step === 6 ? NaN : 1);
  await expect(runTiny({ store, loss: poisoned })).rejects.toBeInstanceOf(NonFiniteError);
  const resumed = await runTiny({ store, resume: true });
  expect(resumed.result.resumedFrom).toBe(4);
  expect(resumed.metrics).toEqual((await runTiny()).metrics);
});
