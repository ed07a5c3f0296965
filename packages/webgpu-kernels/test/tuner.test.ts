import { ConfigError, UnsupportedError } from '@evenkeel/core-tensor';
import { webgpu } from '@evenkeel/webgpu-kernels';
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createTuner, type TunerParts } from '../src/tuner.ts'; // by path: what is public needs a device that is worth tuning
import { adapterKey, loadWinners, saveWinners, tuningFile } from '../src/tuningStore.ts';

/** Milliseconds of each way, on a clock that counts what has run. */
const COSTS: Readonly<Record<string, number>> = { first: 5, second: 1, third: 3, slow: 400 };

/** Winners of the adapter of these tests. */
const remembering = (winners: Record<string, string>): TunerParts['remembered'] => ({ adapter: 'acme', winners });

function setUp(parts: Partial<TunerParts> = {}) {
  const ran: string[] = [];
  const saved: Record<string, string> = {};
  const tuner = createTuner({
    tuning: 'auto',
    remembered: remembering({}),
    save: async (winners) => void Object.assign(saved, winners),
    time: async (f, repeats) => {
      const before = ran.length;
      for (let i = 0; i < repeats; i++) f();
      return ran.slice(before).reduce((sum, name) => sum + COSTS[name]!, 0);
    },
    ...parts,
  });
  const choose = (key: string, candidates = ['first', 'second', 'third'], version = 1): string => (
    tuner.choose({ family: 'matMul', version, key, candidates, trial: (name) => void ran.push(name) }));
  return { tuner, choose, ran, saved };
}

describe('createTuner().choose', () => {
  it('takes the first candidate at once, runs none, and keeps to it', () => {
    const { choose, ran } = setUp();
    expect([choose('NN'), choose('NN'), choose('NT', ['third', 'first'])]).toEqual(['first', 'first', 'third']);
    expect(ran).toEqual([]);
  });

  it('takes what is remembered for the class, unless it cannot compute this call or is of another version', () => {
    const { choose } = setUp({ remembered: remembering({ 'matMul@1 NN': 'second', 'matMul@1 NT': 'gone' }) });
    expect(choose('NN')).toBe('second');
    expect(choose('NN', ['third', 'first'])).toBe('third');
    expect(choose('NT')).toBe('first');
    expect(choose('NN', ['first', 'second'], 2)).toBe('first');
  });

  it('takes the one that is forced wherever it can be, and the first with tuning off, whatever is remembered', () => {
    const remembered = remembering({ 'matMul@1 NN': 'second' });
    const { choose } = setUp({ tuning: { matMul: 'third' }, remembered });
    expect([choose('NN'), choose('NN', ['first', 'second'])]).toEqual(['third', 'first']);
    expect(setUp({ tuning: { attention: 'third' }, remembered }).choose('NN')).toBe('first');
    expect(setUp({ tuning: 'off', remembered }).choose('NN')).toBe('first');
  });
});

describe('createTuner().tune', () => {
  it('times every candidate of the classes seen, takes the fastest from then on, and saves it', async () => {
    const { tuner, choose, saved, ran } = setUp();
    choose('NN');
    choose('NT', ['first', 'slow']);
    const tuned = await tuner.tune();
    expect(tuned.map(({ class: id, winner }) => [id, winner])).toEqual([['matMul@1 NN', 'second'], ['matMul@1 NT', 'first']]);
    expect(tuned[0]?.milliseconds).toEqual({ first: 5, second: 1, third: 3 });
    expect(saved).toEqual({ 'matMul@1 NN': 'second', 'matMul@1 NT': 'first' });
    expect([choose('NN'), choose('NT', ['slow', 'first'])]).toEqual(['second', 'first']);
    expect(ran.filter((name) => name === 'slow').length).toBeLessThan(5); // hopeless after one round
  });

  it('times a class once, and none that is remembered', async () => {
    const { tuner, choose, ran } = setUp({ remembered: remembering({ 'matMul@1 NT': 'second' }) });
    choose('NN');
    choose('NT');
    expect((await tuner.tune()).map(({ class: id }) => id)).toEqual(['matMul@1 NN']);
    const count = ran.length;
    choose('NN');
    expect(await tuner.tune()).toEqual([]);
    expect(ran).toHaveLength(count);
  });

  it('saves what it has found when it is ended, and times the rest the next time', async () => {
    const { tuner, choose, saved } = setUp();
    ['NN', 'NT', 'TN'].forEach((key) => choose(key));
    const ended = new AbortController();
    const onTuned = (_: unknown, left: number): void => {
      if (left === 1) ended.abort();
    };
    expect((await tuner.tune({ onTuned, signal: ended.signal })).map(({ class: id }) => id)).toEqual(['matMul@1 NN', 'matMul@1 NT']);
    expect(saved).toEqual({ 'matMul@1 NN': 'second', 'matMul@1 NT': 'second' });
    expect(choose('TN')).toBe('first');
    expect((await tuner.tune()).map(({ class: id }) => id)).toEqual(['matMul@1 TN']);
  });

  describe('of trials that are refused', () => {
    /** Of three ways some cannot be timed. */
    const refusing = (refused: readonly string[], error: Error, parts: Partial<TunerParts> = {}) => {
      const { tuner, choose, ran } = setUp(parts);
      const asked = (): string => tuner.choose({
        family: 'matMul', version: 1, key: 'large', candidates: ['first', 'second', 'third'],
        trial: (name) => {
          if (refused.includes(name)) throw error;
          ran.push(name);
        },
      });
      return { tuner, choose, asked };
    };

    it('times the others', async () => {
      const { tuner, choose, asked } = refusing(['first', 'second'], new UnsupportedError('too large'));
      asked();
      choose('NN');
      expect((await tuner.tune()).map(({ winner, milliseconds }) => [winner, milliseconds])).toEqual([['third', { third: 3 }], ['second', { first: 5, second: 1, third: 3 }]]);
      expect(asked()).toBe('third');
    });

    it('keeps to the first where there are no others, goes on, and does not ask again', async () => {
      const { tuner, choose, asked } = refusing(['first', 'second', 'third'], new ConfigError('too large'));
      asked();
      choose('NN');
      const lefts: number[] = [];
      expect((await tuner.tune({ onTuned: (_, left) => lefts.push(left) })).map(({ class: id }) => id)).toEqual(['matMul@1 NN']);
      expect(lefts).toEqual([0]);
      expect(asked()).toBe('first');
      choose('NT');
      expect((await tuner.tune()).map(({ class: id }) => id)).toEqual(['matMul@1 NT']);
      expect(Object.keys(tuner.choices().winners)).toEqual(['matMul@1 NN', 'matMul@1 NT']);
    });

    it('ends where it is the device that fails, and at mistakes', async () => {
      const lost = new UnsupportedError('webgpu: the device must be working');
      const device = refusing(['first'], lost, { time: async (f, repeats) => {
        if (repeats === 0) throw lost;
        f();
        return 1;
      } });
      device.asked();
      await expect(device.tuner.tune()).rejects.toThrow(lost);
      const mistaken = refusing(['second'], new TypeError('undefined is not a tensor'));
      mistaken.asked();
      await expect(mistaken.tuner.tune()).rejects.toThrow('undefined is not a tensor');
    });
  });

  it('refuses unless tuning is auto', async () => {
    await expect(setUp({ tuning: 'off' }).tuner.tune()).rejects.toThrow(new ConfigError('tune: tuning of the device must be \'auto\', got "off"; open it with webgpu({ tuning: \'auto\' })'));
  });
});

describe('createTuner().restore', () => {
  it('takes the choices of another run of this adapter, and those alone', async () => {
    const { tuner, choose } = setUp({ remembered: remembering({ 'matMul@1 TN': 'second' }) });
    choose('NN');
    await tuner.tune();
    expect(tuner.choices()).toEqual({ adapter: 'acme', winners: { 'matMul@1 NN': 'second', 'matMul@1 TN': 'second' } });
    const before = tuner.changes();
    tuner.restore({ adapter: 'acme', winners: { 'matMul@1 NN': 'third' } });
    expect([choose('NN'), choose('TN')]).toEqual(['third', 'first']);
    expect(tuner.changes()).toBeGreaterThan(before);
    expect((await tuner.tune()).map(({ class: id }) => id)).toEqual(['matMul@1 TN']);
  });

  it('does nothing with those of another adapter', () => {
    const { tuner, choose } = setUp({ remembered: remembering({ 'matMul@1 NN': 'second' }) });
    tuner.restore({ adapter: 'another', winners: { 'matMul@1 NN': 'third' } });
    expect([choose('NN'), tuner.changes()]).toEqual(['second', 0]);
  });
});

describe('what is kept in the cache folder', () => {
  const adapter = adapterKey({ vendor: 'acme', architecture: 'one' });
  let folder: string;
  let before: string | undefined;
  beforeEach(() => {
    before = process.env['XDG_CACHE_HOME'];
    process.env['XDG_CACHE_HOME'] = folder = mkdtempSync(join(tmpdir(), 'evenkeel-tuning-'));
  });
  afterEach(() => {
    if (before === undefined) delete process.env['XDG_CACHE_HOME'];
    else process.env['XDG_CACHE_HOME'] = before;
    rmSync(folder, { recursive: true });
  });

  it('is read again, added to, and kept apart for adapters that differ in anything', async () => {
    await saveWinners(adapter, { 'matMul@1 NN': 'first' });
    await saveWinners(adapter, { 'matMul@1 NT': 'second' });
    await saveWinners('another', { 'matMul@1 NN': 'third' });
    expect(await loadWinners(adapter)).toEqual({ 'matMul@1 NN': 'first', 'matMul@1 NT': 'second' });
    const info = { vendor: 'a', architecture: 'b', device: 'c', description: 'd' };
    const others = Object.keys(info).map((name) => adapterKey({ ...info, [name]: 'other' }));
    expect(new Set([adapterKey(info), ...others]).size).toBe(5);
    expect(await loadWinners(others[0]!)).toEqual({});
    expect(readdirSync(dirname(tuningFile()))).toEqual(['webgpu-tuning.json']);
  });

  it.each(['', '{"format":"evenkeel webgpu tuning 1","adap', 'null', '[]', '{"format":"of a later version","adapters":{}}',
    '{"format":"evenkeel webgpu tuning 1","adapters":7}', '{"format":"evenkeel webgpu tuning 1","adapters":{"acme | one |  | ":{"matMul@1 NN":7}}}',
  ])('is ignored where it is damaged: %s', async (content) => {
    mkdirSync(dirname(tuningFile()), { recursive: true });
    writeFileSync(tuningFile(), content);
    expect(await loadWinners(adapter)).toEqual({});
    await saveWinners(adapter, { 'matMul@1 NN': 'second' });
    expect(await loadWinners(adapter)).toEqual({ 'matMul@1 NN': 'second' });
    expect(JSON.parse(readFileSync(tuningFile(), 'utf8'))).toMatchObject({ format: 'evenkeel webgpu tuning 1' });
  });

  it('is no error where it cannot be written', async () => {
    writeFileSync(join(folder, 'file'), '');
    process.env['XDG_CACHE_HOME'] = join(folder, 'file');
    await saveWinners(adapter, { 'matMul@1 NN': 'second' });
    expect(await loadWinners(adapter)).toEqual({});
  });
});

describe('webgpu({ tuning })', () => {
  it('refuses what it does not know, by name', () => {
    expect(() => webgpu({ tuning: 'fast' as 'auto' })).toThrow("webgpu: tuning must be");
    expect(() => webgpu({ tuning: { matMul: 'tile-65x65' } })).toThrow('webgpu: tuning.matMul must be');
    expect(() => webgpu({ tuning: { attention: 'bogus' } })).toThrow('webgpu: tuning.attention must be a tile such as threads32-rows1-split1-keys16, got bogus');
    expect(() => webgpu({ tuning: { matmul: 'tile-64x64' } })).toThrow(new ConfigError('webgpu: tuning must name matMul, got matmul'));
    expect(() => webgpu({ tuning: { AttentionQueryGrad: 'a' } })).toThrow('webgpu: tuning must name attentionQueryGrad, got AttentionQueryGrad');
    expect(() => webgpu({ tuning: { attention: 7 as never } })).toThrow(new ConfigError('webgpu: tuning.attention must be the name of a kernel, got 7'));
    for (const [tuning, got] of [[null, 'null'], [['a'], 'an array'], [true, 'true']] as const) {
      expect(() => webgpu({ tuning: tuning as never })).toThrow(new ConfigError(`webgpu: tuning must be 'auto', 'off' or kernels by name such as { matMul: 'tile-64x64' }, got ${got}`));
    }
  });

  it('takes families that only their own package knows', () => {
    expect(() => webgpu({ tuning: { attention: 'threads8-rows1-split1-keys8', spin: 'quick', attentionBiasGrad: 'threads8-rows1-split1-keys8' } })).not.toThrow();
  });
});
