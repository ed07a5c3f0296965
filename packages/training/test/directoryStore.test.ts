import { mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { directoryStore, memoryStore, type RunStore } from '@evenkeel/training';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { metricsOf, runTiny } from './helpers.ts';

let folder = '';
beforeEach(() => { folder = mkdtempSync(join(tmpdir(), 'evenkeel-store-')); });
afterEach(() => {
  vi.unstubAllGlobals();
  rmSync(folder, { recursive: true, force: true });
});

const stores: Record<string, () => RunStore> = { directoryStore: () => directoryStore(join(folder, 'new', 'run')), memoryStore: () => memoryStore() };

describe.each(Object.entries(stores))('%s()', (_, make) => {
  it('keeps text: what was written and appended is read, what is missing is undefined', async () => {
    const store = make();
    expect(await store.readText('notes/a.txt')).toBeUndefined();
    expect(await store.list('notes')).toEqual([]);
    await store.appendText('notes/a.txt', 'one\n');
    await store.appendText('notes/a.txt', 'zwölf\n');
    expect(await store.readText('notes/a.txt')).toBe('one\nzwölf\n');
    await store.writeText('notes/a.txt', 'new');
    expect(await store.readText('notes/a.txt')).toBe('new');
    expect(await store.list('notes')).toEqual(['a.txt']);
    await store.remove('notes/a.txt');
    await store.remove('notes/a.txt');
    expect(await store.list('notes')).toEqual([]);
  });

  it('keeps tensors and their metadata, and opens nothing that is not there', async () => {
    const store = make();
    await store.writeTensors('state/x.safetensors', { w: { dtype: 'F32', shape: [3], data: Float32Array.of(1, 2, 3) } }, { why: 'test' });
    const file = await store.openTensors('state/x.safetensors');
    expect([file.names, file.metadata.why, Array.from((await file.read('w')).data as Float32Array)]).toEqual([['w'], 'test', [1, 2, 3]]);
    await file.close();
    await expect(store.openTensors('state/y.safetensors')).rejects.toThrow('state/y.safetensors');
  });

  it('holds a whole run', async () => {
    const { metrics } = await runTiny({ steps: 5, store: make() });
    expect(metrics).toEqual((await runTiny({ steps: 5 })).metrics);
  });
});

describe('directoryStore(path)', () => {
  it('says which file could not be used and why, in one line', async () => {
    writeFileSync(join(folder, 'file'), '');
    const store = directoryStore(join(folder, 'file'));
    await expect(store.writeText('a/b.txt', '')).rejects.toThrow(/^directoryStore: .*file\/a\/b\.txt must be usable, got .* \((ENOTDIR|EEXIST)\)$/);
    await expect(store.readText('a')).rejects.toThrow(/^directoryStore: .*file\/a must be usable, got not a directory \(ENOTDIR\)$/);
  });

  it('ends a run whose metrics find no space, with the reason', async () => {
    symlinkSync('/dev/full', join(folder, 'metrics.jsonl'));
    const store = { ...directoryStore(folder), writeText: async () => {} }; // a device cannot be replaced
    await expect(runTiny({ store })).rejects.toThrow(/^directoryStore: .*metrics\.jsonl must be usable, got no space left on device \(ENOSPC\)$/);
  });

  it('needs no module of Node until it is called, and says so in a browser', () => {
    vi.stubGlobal('process', undefined);
    expect(() => directoryStore('run')).toThrow('directoryStore: needs the file system of Node, got a browser. Use memoryStore or a store of your own.');
  });

  it('leaves no temporary files', async () => {
    await runTiny({ store: directoryStore(folder) });
    expect(readdirSync(folder).sort()).toEqual(['metrics.jsonl', 'state']);
    expect(readdirSync(join(folder, 'state')).sort()).toEqual(['step-00000028.safetensors', 'step-00000030.safetensors']);
  });

  it('resumes after the newest checkpoint was cut off on the disk', async () => {
    const store = directoryStore(folder);
    const whole = await runTiny({ store });
    truncateSync(join(folder, 'state', 'step-00000030.safetensors'), 1000);
    const resumed = await runTiny({ store, resume: true });
    expect(resumed.result.resumedFrom).toBe(28);
    expect(await metricsOf(store)).toEqual(whole.metrics);
    expect(readFileSync(join(folder, 'metrics.jsonl'), 'utf8').split('\n')).toHaveLength(30 + 5 + 1);
  });
});
