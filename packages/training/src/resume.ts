import type { Variable } from '@tensorflow/tfjs-core';
import { matchStateDict, tensorFromEntry, type Entries, type SafetensorsEntry, type SafetensorsFile } from '@evenkeel/checkpoint';
import { ConfigError, kernelTuning, ShapeError, treeMap, UnsupportedError, type OptimizerState, type Tree } from '@evenkeel/core-tensor';
import {
  checkpointPath, CHECKSUM_KEY, dataChecksum, headChecksum, leavesOf, listCheckpoints, METADATA_KEY, VERSION, type Snapshot, type StateMetadata, type Trained,
} from './checkpoints.ts';
import { configDifferences } from './configDifferences.ts';
import type { RunStore } from './runStore.ts';

/** Found — where a run goes on, and which newer checkpoints could not be used. */
export type Found = {
  readonly step: number;
  readonly path: string;
  readonly skipped: readonly { readonly path: string; readonly reason: string }[];
};

/** Resumed — what a resumed run begins with. */
export type Resumed = Found & {
  /** How many of the steps done have no line in the metrics, as after a power cut: curves and averages lack them. */
  readonly missingMetrics: number;
};

/** A checkpoint that is whole but of another run: not damage, so no older one is tried. */
type Loaded = { metadata: StateMetadata; entries: Entries };

/**
 * resume — the newest checkpoint that is whole, loaded into the parameters and the optimizer's state.
 *
 * Everything is read and checked before anything is changed. Only wrong content is damage: a checkpoint that the storage would not
 * give ends the search, since it may be whole and newer than what would be found.
 *
 * @param snapshot  parameters and fresh optimizer state to load into, and the seed and configuration that must be those saved.
 * @returns         where the run goes on and the optimizer's state with its counters; undefined if there is no checkpoint.
 * @throws ConfigError  if all checkpoints are damaged, one cannot be read, or the newest whole one is of another seed,
 *                      configuration or model.
 * @throws ShapeError   if only shapes differ.
 */
export async function resume(store: RunStore, snapshot: Omit<Snapshot, 'step'>): Promise<(Found & { optimizer: OptimizerState }) | undefined> {
  const skipped: { path: string; reason: string }[] = [];
  for (const step of await listCheckpoints(store)) {
    const path = checkpointPath(step);
    const file = await attempt(store.openTensors(path));
    const loaded = file instanceof Error ? file : await attempt(readState(file, path, snapshot)).finally(() => file.close());
    if (!(loaded instanceof Error)) return { step, path, skipped, optimizer: restore(snapshot.trained, loaded) };
    if (loaded instanceof MismatchError) throw loaded.error;
    skipped.push({ path, reason: loaded.message });
  }
  if (skipped.length === 0) return undefined;
  const reasons = skipped.map(({ path, reason }) => `${path}: ${reason}`).join('; ');
  throw new ConfigError(`train: store must hold a checkpoint that is whole, got ${skipped.length} damaged: ${reasons}`);
}

/** What `work` gives, or the error that says what is damaged; any other error goes on. */
const attempt = <T>(work: Promise<T>): Promise<T | Error> => work.catch((error: unknown) => {
  if (error instanceof MismatchError || isDamage(error)) return error;
  throw error;
});

/** Whether the content is wrong, not the access to it: a file that may not be read just now, or not by this user, may be whole. */
function isDamage(error: unknown): error is Error {
  const isOurs = error instanceof ConfigError || error instanceof ShapeError || error instanceof UnsupportedError;
  return isOurs && (error.cause as NodeJS.ErrnoException | undefined)?.code === undefined;
}

/** Carries an error out of the search for a checkpoint: trying an older one would not help. */
class MismatchError extends Error {
  readonly error: Error;
  constructor(error: Error) {
    super(error.message);
    this.error = error;
  }
}

async function readState(file: SafetensorsFile, path: string, { trained, seed, config }: Omit<Snapshot, 'step'>): Promise<Loaded> {
  const metadata = parseMetadata(file, path);
  const differences = configDifferences({ seed: metadata.seed, config: metadata.config }, { seed, config });
  if (differences.length > 0) {
    throw new MismatchError(new ConfigError(
      `train: ${path} must be of the same run, got another configuration: ${differences.map((each) => each.replace(/^config\./, '')).join('; ')}`));
  }
  matchTensors(file, path, trained, metadata);
  const entries: Record<string, SafetensorsEntry> = {};
  for (const name of file.names) entries[name] = await file.read(name);
  const checksum = dataChecksum(entries);
  if (checksum !== metadata.checksum) throw new ConfigError(`train: ${path} must have checksum ${metadata.checksum}, got ${checksum}: its data was changed`);
  return { metadata, entries };
}

function parseMetadata(file: SafetensorsFile, path: string): StateMetadata {
  const text = file.metadata[METADATA_KEY];
  if (text === undefined) throw new ConfigError(`train: ${path} must be a training state, got a safetensors file without ${METADATA_KEY} in its metadata`);
  const checksum = headChecksum(text, Object.fromEntries(file.names.map((name) => [name, file.info(name)])));
  if (checksum !== file.metadata[CHECKSUM_KEY]) throw new ConfigError(`train: ${path} must have header checksum ${file.metadata[CHECKSUM_KEY]}, got ${checksum}: its header was changed`);
  const metadata = JSON.parse(text) as StateMetadata;
  if (metadata.version === VERSION) return metadata;
  throw new MismatchError(new ConfigError(`train: ${path} must have version ${VERSION}, got ${String(metadata.version)}. Was it written by a newer release?`));
}

const DTYPES: Readonly<Record<string, string>> = { F32: 'float32', I32: 'int32', BOOL: 'bool' };

function matchTensors(file: SafetensorsFile, path: string, trained: Trained, { counters }: StateMetadata): void {
  const expected = leavesOf(trained);
  try {
    const actual = Object.fromEntries(file.names.map((name) => [name, file.info(name)]));
    matchStateDict(Object.entries(expected.tensors).map(([name, { shape }]) => ({ name, shape })), actual, { where: `train: ${path}` });
    for (const [name, { dtype }] of Object.entries(expected.tensors)) {
      const saved = DTYPES[file.info(name).dtype];
      if (saved !== dtype) throw new ShapeError(`train: ${name} of ${path} must have dtype ${dtype}, got ${saved ?? file.info(name).dtype}`);
    }
    const [wanted, got] = [Object.keys(expected.counters), Object.keys(counters)].map((names) => names.sort().join(', '));
    if (wanted !== got) throw new ConfigError(`train: ${path} must have the optimizer's counters ${wanted}, got ${got}`);
  } catch (error) {
    throw new MismatchError(error as Error);
  }
}

/** Assigns every variable, and takes the kernels of before; the optimizer's state is returned anew, because its counters are plain numbers. */
function restore(trained: Trained, { metadata, entries }: Loaded): OptimizerState {
  if (metadata.kernels !== undefined) kernelTuning()?.restore(metadata.kernels);
  const restored = treeMap<unknown, unknown>((leaf, path) => {
    if (typeof leaf === 'number') return metadata.counters[path];
    const saved = tensorFromEntry(entries[path] as SafetensorsEntry, path);
    (leaf as Variable).assign(saved);
    saved.dispose();
    return leaf;
  }, trained as unknown as Tree<unknown>);
  return (restored as unknown as Trained).optimizer;
}
