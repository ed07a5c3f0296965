import { isNode } from './runtime.ts';

/** Winners — the fastest way by class, see tuner.ts. */
type Winners = Readonly<Record<string, string>>;

type TuningFile = { readonly format: typeof FORMAT; readonly adapters: Readonly<Record<string, Winners>> };

const FORMAT = 'evenkeel webgpu tuning 1';
const DATABASE = 'evenkeel';
const STORE = 'webgpuTuning';

/** adapterKey — tells adapters apart for which other ways may be fastest. */
export function adapterKey({ vendor = '', architecture = '', device = '', description = '' }: Partial<GPUAdapterInfo>): string {
  return [vendor, architecture, device, description].join(' | ');
}

/**
 * loadWinners — what was found on this adapter before, from a file in the user's cache folder ($XDG_CACHE_HOME or ~/.cache, then
 * evenkeel/webgpu-tuning.json), in browsers from IndexedDB. Empty where there is none or it is damaged: it can be found anew.
 */
export async function loadWinners(adapter: string): Promise<Winners> {
  try {
    return isNode() ? readTuningFile()[adapter] ?? {} : winnersIn(await inDatabase('readonly', (store) => store.get(adapter)));
  } catch {
    return {};
  }
}

/** saveWinners — adds to what is kept for this adapter. Where nothing can be kept nothing is: later processes find it anew. */
export async function saveWinners(adapter: string, winners: Winners): Promise<void> {
  try {
    if (isNode()) writeTuningFile(adapter, winners);
    else {
      const all = { ...await loadWinners(adapter), ...winners };
      await inDatabase('readwrite', (store) => store.put(all, adapter));
    }
  } catch {
    // a cache that cannot be written is no error
  }
}

/** tuningFile — where Node keeps it. */
export function tuningFile(): string {
  const { join, isAbsolute } = process.getBuiltinModule('node:path');
  const { homedir } = process.getBuiltinModule('node:os');
  const cache = process.env['XDG_CACHE_HOME'] ?? '';
  return join(isAbsolute(cache) ? cache : join(homedir(), '.cache'), 'evenkeel', 'webgpu-tuning.json'); // the standard says to ignore relative ones
}

function readTuningFile(): Readonly<Record<string, Winners>> {
  try {
    const content = JSON.parse(process.getBuiltinModule('node:fs').readFileSync(tuningFile(), 'utf8')) as Partial<TuningFile> | null;
    if (content?.format !== FORMAT || !isRecord(content.adapters)) return {};
    return Object.fromEntries(Object.entries(content.adapters).map(([adapter, winners]) => [adapter, winnersIn(winners)]));
  } catch {
    return {};
  }
}

/** The whole file under another name, then in its place: a reader sees the old or the new one. */
function writeTuningFile(adapter: string, winners: Winners): void {
  const { mkdirSync, renameSync, rmSync, writeFileSync } = process.getBuiltinModule('node:fs');
  const path = tuningFile();
  const adapters = readTuningFile();
  const content: TuningFile = { format: FORMAT, adapters: { ...adapters, [adapter]: { ...adapters[adapter], ...winners } } };
  const temporary = `${path}.${process.pid}.tmp`;
  mkdirSync(process.getBuiltinModule('node:path').dirname(path), { recursive: true });
  try {
    writeFileSync(temporary, `${JSON.stringify(content, undefined, 1)}\n`);
    renameSync(temporary, path);
  } finally {
    rmSync(temporary, { force: true });
  }
}

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> => typeof value === 'object' && value !== null && !Array.isArray(value);

/** The entries that can be winners. */
function winnersIn(value: unknown): Winners {
  return isRecord(value) ? Object.fromEntries(Object.entries(value).filter((entry): entry is [string, string] => typeof entry[1] === 'string')) : {};
}

/** Runs one request in the database and waits until it is done. */
function inDatabase(mode: IDBTransactionMode, request: (store: IDBObjectStore) => IDBRequest): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const opening = indexedDB.open(DATABASE, 1);
    const fail = (): void => reject(new Error('loadWinners: IndexedDB must be usable'));
    opening.onupgradeneeded = () => void opening.result.createObjectStore(STORE);
    opening.onerror = opening.onblocked = fail;
    opening.onsuccess = () => {
      const database = opening.result;
      const transaction = database.transaction(STORE, mode);
      const asked = request(transaction.objectStore(STORE));
      transaction.oncomplete = () => {
        database.close();
        resolve(asked.result);
      };
      transaction.onabort = transaction.onerror = () => {
        database.close();
        fail();
      };
    };
  });
}
