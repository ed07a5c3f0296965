import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { checkFresh, inNewDirectory } from '../src/runDirectory.ts';
import { scratch } from './support/evenkeel.ts';

const files = scratch();
const NAMES = ['tokenizer.json', 'tokenizer_config.json', 'state/tokens.bin', 'run.json'];

function fill(workshop: string, names = NAMES): void {
  for (const name of names) writeFileSync(`${workshop}/${name}`, name);
}

/** A process that has come and gone. */
const deadPid = spawnSync(process.execPath, ['--version']).pid;

describe('inNewDirectory', () => {
  it('inNewDirectory(directory, fill) holds the files that fill made, and nothing else', async () => {
    const directory = files.at('a/b');
    expect(await inNewDirectory(directory, async (workshop) => { fill(workshop); return 7; })).toBe(7);
    expect(readdirSync(directory).sort()).toEqual(['run.json', 'state', 'tokenizer.json', 'tokenizer_config.json']);
    expect(readdirSync(`${directory}/state`)).toEqual(['tokens.bin']);
  });

  it('inNewDirectory(directory, a fill that fails) removes every directory it made', async () => {
    await expect(inNewDirectory(files.at('c/d/e'), async () => { throw new Error('late'); })).rejects.toThrow('late');
    expect(existsSync(files.at('c'))).toBe(false);
  });

  it.each([['a new', false], ['an empty', true]])('inNewDirectory(%s directory, a fill that fails) leaves files that others put there', async (name, exists) => {
    const directory = files.at(`${name}/shared`);
    if (exists) mkdirSync(directory, { recursive: true });
    const run = inNewDirectory(directory, async (workshop) => {
      fill(workshop);
      mkdirSync(`${directory}/folder`);
      writeFileSync(`${directory}/notes.txt`, 'precious');
      throw new Error('late');
    });
    await expect(run).rejects.toThrow('late');
    expect(readdirSync(directory).sort()).toEqual(['folder', 'notes.txt']);
  });

  it('inNewDirectory(directory that another run came into) refuses and leaves that run alone', async () => {
    const directory = files.at('raced');
    const outer = inNewDirectory(directory, async (workshop) => {
      fill(workshop);
      mkdirSync(`${directory}/state`);
      writeFileSync(`${directory}/state/tokens.bin`, 'theirs');
    });
    await expect(outer).rejects.toThrow(/^--out must stay empty while a run is prepared in it, got .*raced.state$/);
    expect(readdirSync(directory, { recursive: true }).sort()).toEqual(['state', 'state/tokens.bin']);
  });

  it('inNewDirectory(directory below a file) is a wrong --out', async () => {
    const file = files.write('file', '');
    await expect(inNewDirectory(`${file}/run`, async () => 0)).rejects.toThrow(`--out must be a directory that can be made and written to, got ${file}/run`);
  });
});

describe('checkFresh', () => {
  it('checkFresh(directory of a process killed while preparing) empties it', () => {
    const directory = files.at('killed');
    mkdirSync(`${directory}/.preparing-${deadPid}/state`, { recursive: true });
    fill(`${directory}/.preparing-${deadPid}`, ['tokenizer.json']);
    checkFresh(directory);
    expect(readdirSync(directory)).toEqual([]);
  });

  it('checkFresh(directory of a process killed between two files) takes back those that were moved', () => {
    const directory = files.at('killed-later');
    mkdirSync(`${directory}/.preparing-${deadPid}/state`, { recursive: true });
    fill(`${directory}/.preparing-${deadPid}`, ['state/tokens.bin', 'run.json']);
    mkdirSync(`${directory}/state`);
    fill(directory, ['tokenizer.json', 'tokenizer_config.json']);
    checkFresh(directory);
    expect(readdirSync(directory)).toEqual([]);
  });

  it('checkFresh(directory in which a living process prepares) refuses it and removes nothing', () => {
    const directory = files.at('alive');
    mkdirSync(`${directory}/.preparing-${process.ppid}`, { recursive: true });
    expect(() => checkFresh(directory)).toThrow('--out must be a new or empty directory');
    expect(readdirSync(directory)).toEqual([`.preparing-${process.ppid}`]);
  });

  it('checkFresh(a symbolic link to nothing) says that it is one', () => {
    symlinkSync(files.at('nowhere'), files.at('link'));
    expect(() => checkFresh(files.at('link'))).toThrow(/got .*link, a symbolic link to nothing$/);
  });
});
