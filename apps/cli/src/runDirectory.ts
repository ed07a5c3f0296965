import { existsSync, lstatSync, mkdirSync, readdirSync, renameSync, rmdirSync, rmSync, statSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { UsageError } from './errors.ts';
import { RECORD } from './runRecord.ts';

/** TOKENS — the encoded text, beside the checkpoints: a resumed run sees the same tokens whatever became of the text. */
export const TOKENS = join('state', 'tokens.bin');

/** What may be prepared besides the record, which comes to its place last: it makes the directory a run. */
const PREPARED = ['tokenizer.json', 'tokenizer_config.json', TOKENS] as const;

/** Where a process prepares a run, its id behind it; hidden, so that `--data .` does not read it. */
const WORKSHOP = '.preparing-';

/** defaultRunDirectory — `runs/gpt-20261123-152514`, with a number behind it if that exists. */
export function defaultRunDirectory(kind: string, now = new Date()): string {
  const digits = (value: number, width = 2): string => String(value).padStart(width, '0');
  const date = `${digits(now.getFullYear(), 4)}${digits(now.getMonth() + 1)}${digits(now.getDate())}`;
  const name = join('runs', `${kind}-${date}-${digits(now.getHours())}${digits(now.getMinutes())}${digits(now.getSeconds())}`);
  for (let copy = 1; ; copy++) {
    const candidate = copy === 1 ? name : `${name}-${copy}`;
    if (!existsSync(candidate)) return candidate;
  }
}

/**
 * checkFresh — throws UsageError if a new run cannot begin in `directory`: nothing is ever overwritten.
 *
 * What a process left there that was killed while it prepared a run is removed.
 *
 * @param record  the file that makes a directory what is to begin: a run, or a sweep.
 */
export function checkFresh(directory: string, record: string = RECORD): void {
  const stat = statSync(directory, { throwIfNoEntry: false });
  if (stat === undefined && lstatSync(directory, { throwIfNoEntry: false }) === undefined) return;
  if (stat === undefined) throw new UsageError(`--out must be a new or empty directory, got ${directory}, a symbolic link to nothing`);
  if (!stat.isDirectory()) throw new UsageError(`--out must be a directory, got the file ${directory}`);
  if (!existsSync(join(directory, record))) removeAbandoned(directory, record);
  if (readdirSync(directory).length === 0) return;
  const help = existsSync(join(directory, RECORD)) && record === RECORD ? '--resume goes on with the run in it' : 'choose another';
  throw new UsageError(`--out must be a new or empty directory, got ${directory}, which holds files; ${help}`);
}

/**
 * inNewDirectory — makes `directory` a run: `fill` prepares its files in a hidden directory inside, from where they are moved.
 *
 * If anything fails, all that this call made is removed, and nothing else.
 *
 * @param record  as for `checkFresh`; `fill` makes it last.
 * @throws UsageError  if the directory cannot be made, or if another process put a run there meanwhile.
 */
export async function inNewDirectory<T>(directory: string, fill: (workshop: string) => Promise<T>, record: string = RECORD): Promise<T> {
  const workshop = join(directory, `${WORKSHOP}${process.pid}`);
  const firstMade = makeDirectory(directory, join(workshop, dirname(TOKENS)));
  try {
    const result = await fill(workshop);
    publish(workshop, directory, record);
    return result;
  } catch (error) {
    rmSync(workshop, { recursive: true, force: true });
    const isMade = (path: string): boolean => firstMade !== undefined && resolve(path).startsWith(resolve(firstMade));
    for (let path = resolve(directory); isMade(path) && removedEmpty(path);) path = dirname(path);
    throw error;
  }
}

function makeDirectory(directory: string, path: string): string | undefined {
  try {
    return mkdirSync(path, { recursive: true });
  } catch (error) {
    throw new UsageError(`--out must be a directory that can be made and written to, got ${directory}`, { cause: error });
  }
}

/** Moves the prepared files to their place, or none of them. */
function publish(workshop: string, directory: string, record: string): void {
  const taken = [dirname(TOKENS), ...PREPARED, record].find((name) => existsSync(join(directory, name)));
  if (taken !== undefined) throw new UsageError(`--out must stay empty while a run is prepared in it, got ${join(directory, taken)}`);
  mkdirSync(join(directory, dirname(TOKENS))); // of two processes one succeeds
  try {
    for (const name of [...PREPARED, record].filter((each) => existsSync(join(workshop, each)))) renameSync(join(workshop, name), join(directory, name));
  } catch (error) {
    removeMoved(workshop, directory, record);
    throw error;
  }
  rmSync(workshop, { recursive: true, force: true });
}

/** Removes what was moved from a workshop that was complete: all that it lacks. */
function removeMoved(workshop: string, directory: string, record: string): void {
  for (const name of [...PREPARED, record]) {
    if (!existsSync(join(workshop, name))) rmSync(join(directory, name), { force: true });
  }
  removedEmpty(join(directory, dirname(TOKENS)));
}

/** Removes the workshops of processes that no longer live, and what they had moved. */
function removeAbandoned(directory: string, record: string): void {
  for (const name of readdirSync(directory).filter((each) => each.startsWith(WORKSHOP) && !isAlive(Number(each.slice(WORKSHOP.length))))) {
    const workshop = join(directory, name);
    if (existsSync(join(workshop, record))) removeMoved(workshop, directory, record); // the last to be made and to be moved
    rmSync(workshop, { recursive: true, force: true });
  }
}

function isAlive(pid: number): boolean {
  if (!Number.isSafeInteger(pid) || pid <= 0) return true; // not a name of ours
  if (pid === process.pid) return false; // it has not begun yet
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'ESRCH';
  }
}

/** Removes a directory if it is empty. */
function removedEmpty(path: string): boolean {
  try {
    rmdirSync(path);
    return true;
  } catch {
    return false;
  }
}
