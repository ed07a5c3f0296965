import type * as Fs from 'node:fs';
import { ConfigError } from '@evenkeel/core-tensor';

/** The process that a lock names, and when it began: numbers are used again. */
type Owner = { readonly pid: number; readonly started?: string };

/** Locks of this process: whatever else bears its number was left by a process before it. */
const held = new Set<string>();

/**
 * lockDirectory — claims a run for this process by the file `file`, which holds its number.
 *
 * A lock is stale, and taken over, if its process is dead, if it was left by an earlier process of the same number (as after a
 * restart of a container), or if it cannot be read. Processes on different machines do not see each other.
 *
 * @param file  an absolute path in a directory that exists.
 * @returns     what gives the run free.
 * @throws ConfigError  if another process has it, or this one has it already.
 */
export async function lockDirectory(fs: typeof Fs.promises, file: string): Promise<() => Promise<void>> {
  if (held.has(file)) throw inUse(file, process.pid);
  held.add(file);
  try {
    const owner: Owner = { pid: process.pid, started: await startOf(fs, process.pid) };
    while (!(await claim(fs, file, `${JSON.stringify(owner)}\n`))) await removeStale(fs, file);
  } catch (error) {
    held.delete(file);
    throw error;
  }
  return async () => {
    await fs.rm(file, { force: true }).catch(() => undefined); // what is left of it is stale
    held.delete(file);
  };
}

/** Creates the file if there is none; true if this call did. */
async function claim(fs: typeof Fs.promises, file: string, text: string): Promise<boolean> {
  const handle = await fs.open(file, 'wx').catch((error: unknown) => {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return undefined;
    throw error;
  });
  if (handle === undefined) return false;
  try {
    await handle.writeFile(text);
    return true;
  } catch (error) {
    await fs.rm(file, { force: true });
    throw error;
  } finally {
    await handle.close();
  }
}

async function removeStale(fs: typeof Fs.promises, file: string): Promise<void> {
  const text = await readSettled(fs, file);
  const owner = parseOwner(text);
  if (owner !== undefined && await isAlive(fs, owner)) throw inUse(file, owner.pid);
  // Renamed and not removed, so that of two processes that find a stale lock only one takes it over.
  const aside = `${file}.${process.pid}`;
  await unlessGone(fs.rename(file, aside));
  const moved = await unlessGone(fs.readFile(aside, 'utf8'));
  // Another process may have taken the stale lock over since it was read: then what was moved is that one's, and goes back.
  if (moved !== undefined && moved !== text) await fs.rename(aside, file);
  else await fs.rm(aside, { force: true });
}

/** The text of a lock; one that is empty may be about to be written. */
async function readSettled(fs: typeof Fs.promises, file: string): Promise<string | undefined> {
  const text = await unlessGone(fs.readFile(file, 'utf8'));
  if (parseOwner(text) !== undefined || text === undefined) return text;
  await new Promise((resolve) => { setTimeout(resolve, SETTLE_MS); });
  return unlessGone(fs.readFile(file, 'utf8'));
}

const SETTLE_MS = 200;

const unlessGone = <T>(work: Promise<T>): Promise<T | undefined> => work.catch((error: unknown) => {
  if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
  throw error;
});

function parseOwner(text: string | undefined): Owner | undefined {
  try {
    const value = JSON.parse(text ?? '') as Owner | null;
    return Number.isSafeInteger(value?.pid) && (value as Owner).pid > 0 ? value as Owner : undefined;
  } catch {
    return undefined;
  }
}

async function isAlive(fs: typeof Fs.promises, { pid, started }: Owner): Promise<boolean> {
  if (pid === process.pid) return false; // an earlier process: what this one has is in `held`
  try {
    process.kill(pid, 0); // sends nothing
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'; // somebody else's process
  }
  const now = await startOf(fs, pid);
  return started === undefined || now === undefined || now === started;
}

/** When a process began, where Linux tells: boot and clock ticks since then; undefined elsewhere. */
async function startOf(fs: typeof Fs.promises, pid: number): Promise<string | undefined> {
  try {
    const [boot, stat] = await Promise.all(['/proc/sys/kernel/random/boot_id', `/proc/${pid}/stat`].map((path) => fs.readFile(path, 'utf8')));
    const fields = (stat as string).slice((stat as string).lastIndexOf(')') + 2).split(' '); // the name before may hold spaces
    return `${(boot as string).trim()} ${fields[19]}`;
  } catch {
    return undefined;
  }
}

function inUse(file: string, pid: number): ConfigError {
  const who = pid === process.pid ? `this process (${pid})` : `process ${pid}`;
  return new ConfigError(`directoryStore: ${file} must be free, got a lock of ${who}: one run at a time can use a directory. Wait for it or stop it.`);
}
