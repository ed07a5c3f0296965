import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ConfigError } from '@evenkeel/core-tensor';
import { directoryStore, memoryStore, train } from '@evenkeel/training';
import { expectNoLeak } from '@evenkeel/testing';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { makeParams, tinyRun } from './fixtures/tinyRun.ts';
import { free, runTiny } from './helpers.ts';

let folder = '';
let lock = '';
let children: ChildProcess[] = [];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'evenkeel-lock-'));
  lock = join(folder, 'state', 'lock');
  mkdirSync(join(folder, 'state'));
});
afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
  rmSync(folder, { recursive: true, force: true });
});

/** A process that does nothing for as long as the test. */
function sleeper(): number {
  const child = spawn('sleep', ['600']);
  children = [...children, child];
  return child.pid as number;
}

const writeLock = (owner: object): void => writeFileSync(lock, JSON.stringify(owner));

describe('train({ store: directoryStore(path) })', () => {
  it('keeps another run out while it goes on, in this process too, whatever the path is called, and not afterwards', async () => {
    const errors: unknown[] = [];
    await runTiny({ steps: 3, store: directoryStore(folder), callbacks: {
      onStep: async () => {
        expect(JSON.parse(readFileSync(lock, 'utf8'))).toMatchObject({ pid: process.pid });
        errors.push(await runTiny({ store: directoryStore(join(folder, 'state', '..')), resume: true }).catch((error: unknown) => error));
      },
    } });
    expect(errors).toHaveLength(3);
    for (const error of errors) {
      expect(error).toBeInstanceOf(ConfigError);
      expect((error as Error).message).toMatch(new RegExp(`^directoryStore: .*/state/lock must be free, got a lock of this process \\(${process.pid}\\)[^\n]*$`));
    }
    expect(existsSync(lock)).toBe(false);
    expect((await runTiny({ steps: 3, store: directoryStore(folder), resume: true })).result.resumedFrom).toBe(3);
  });

  it('refuses a directory in which another process trains, in one line, changes nothing and leaks nothing', async () => {
    const pid = sleeper();
    writeLock({ pid });
    const params = makeParams();
    await expectNoLeak(() => train(tinyRun(params, { store: directoryStore(folder), resume: true })), { throws: `got a lock of process ${pid}: one run at a time` });
    free(params);
    expect(readdirSync(folder)).toEqual(['state']);
    expect(readdirSync(join(folder, 'state'))).toEqual(['lock']);
    expect(readFileSync(lock, 'utf8')).toBe(JSON.stringify({ pid }));
  });

  it('of two at the same moment lets one run', async () => {
    writeFileSync(lock, 'left by a crash');
    const outcomes = await Promise.allSettled(Array.from({ length: 4 }, () => runTiny({ steps: 3, store: directoryStore(folder), resume: true })));
    expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    expect(readdirSync(join(folder, 'state')).some((name) => name.startsWith('lock'))).toBe(false);
  });

  const dead = (): number => spawnSync('true').pid;
  const stale: [what: string, text: () => string][] = [
    ['of a dead process', () => JSON.stringify({ pid: dead() })],
    ['of an earlier process with the number of this one', () => JSON.stringify({ pid: process.pid, started: 'another boot 1' })],
    ['of an earlier process with the number of another one', () => JSON.stringify({ pid: sleeper(), started: 'another boot 1' })],
    ['that is empty', () => ''],
    ['that is cut off', () => '{"pi'],
    ['that names no process', () => '{"pid":-1}'],
    ['that is null', () => 'null'],
  ];
  it.each(stale)('takes over a lock %s', async (_, text) => {
    writeFileSync(lock, text());
    const { result } = await runTiny({ steps: 3, store: directoryStore(folder), resume: true });
    expect(result.steps).toBe(3);
    expect(readdirSync(join(folder, 'state'))).toEqual(['step-00000003.safetensors']);
  });

  it('gives the lock free when the run fails', async () => {
    const fail = (): never => { throw new Error('on purpose'); };
    await expect(runTiny({ store: directoryStore(folder), batches: fail })).rejects.toThrow('on purpose');
    expect(readdirSync(join(folder, 'state'))).toEqual([]);
  });
});

it('train({ store }) of a store with a lock of its own gives it free at the end and after an error', async () => {
  let locks = 0;
  const store = { ...memoryStore(), lock: async () => { locks++; return async () => { locks--; }; } };
  await runTiny({ steps: 3, store, callbacks: { onStep: () => expect(locks).toBe(1) } });
  expect(locks).toBe(0);
  await expect(runTiny({ steps: 3, store })).rejects.toThrow('store must be empty unless resume is true');
  expect(locks).toBe(0);
});
