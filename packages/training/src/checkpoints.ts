import type { Tensor, Variable } from '@tensorflow/tfjs-core';
import { entriesFromTensors, type Entries } from '@evenkeel/checkpoint';
import { kernelTuning, treeEntries, type KernelChoices, type OptimizerState, type Tree } from '@evenkeel/core-tensor';
import type { RunConfig } from './configDifferences.ts';
import { NonFiniteError } from './nonFiniteError.ts';
import type { RunStore } from './runStore.ts';

/** VERSION — of the layout of a training state; raised when an older reader would misread a newer file. */
export const VERSION = 1;

/** Where a training state's JSON and its `headChecksum` stand in the safetensors metadata. */
export const METADATA_KEY = 'evenkeel.training';
export const CHECKSUM_KEY = 'evenkeel.training.checksum';

/** StateMetadata — what a training state holds besides tensors. Everything random follows from `seed` and `step`. */
export type StateMetadata = {
  readonly version: number;
  readonly step: number;
  readonly seed: number;
  readonly config: RunConfig;
  /** The optimizer's plain numbers, by path. */
  readonly counters: Readonly<Record<string, number>>;
  /** `dataChecksum` of the tensors: the format itself notices a missing end but not a changed middle. */
  readonly checksum: string;
  /** The kernels that the run took, where the device had found them by tuning: others differ in the last bits. */
  readonly kernels?: KernelChoices;
};

/** Trained — what a step changes: saved and restored together. */
export type Trained = { params: Tree<Variable>; optimizer: OptimizerState; state?: Tree<Variable> };

export type Snapshot = { trained: Trained; step: number; seed: number; config: RunConfig };

const FOLDER = 'state';
const NAME = /^step-(\d{8,})\.safetensors$/;

/** checkpointPath — `state/step-00000100.safetensors`. */
export const checkpointPath = (step: number): string => `${FOLDER}/step-${String(step).padStart(8, '0')}.safetensors`;

/** listCheckpoints — the steps that have a checkpoint, newest first. */
export async function listCheckpoints(store: RunStore): Promise<number[]> {
  const steps = (await store.list(FOLDER)).flatMap((name) => NAME.exec(name)?.[1] ?? []).map(Number);
  return steps.sort((a, b) => b - a);
}

/** leavesOf — tensors and plain numbers of parameters, optimizer and untrained state, by path: `params.…`, `optimizer.…`, `state.…`. */
export function leavesOf(trained: Trained): { tensors: Record<string, Variable>; counters: Record<string, number> } {
  const entries = treeEntries<unknown>(trained as unknown as Tree<unknown>);
  return {
    tensors: Object.fromEntries(entries.filter((entry): entry is [string, Variable] => typeof entry[1] !== 'number')),
    counters: Object.fromEntries(entries.filter((entry): entry is [string, number] => typeof entry[1] === 'number')),
  };
}

/**
 * saveCheckpoint — writes the state after `step` steps, then removes all but the newest `keep` checkpoints up to it, and those
 * beyond it that are damaged. Any other beyond it is of a run that got further, so it stays.
 *
 * @param damaged  paths of checkpoints that a resumed run skipped.
 * @returns the path written.
 * @throws NonFiniteError  if a value is NaN or infinite; nothing is written then.
 */
export async function saveCheckpoint(store: RunStore, { trained, step, seed, config }: Snapshot, keep: number, damaged: readonly string[] = []): Promise<string> {
  const { tensors, counters } = leavesOf(trained);
  const entries = await entriesFromTensors(tensors as Record<string, Tensor>);
  checkFinite(entries, step);
  const kernels = kernelTuning()?.choices();
  const metadata: StateMetadata = { version: VERSION, step, seed, config, counters, checksum: dataChecksum(entries), ...(kernels && { kernels }) };
  const path = checkpointPath(step);
  const json = JSON.stringify(metadata);
  await store.writeTensors(path, entries, { [METADATA_KEY]: json, [CHECKSUM_KEY]: headChecksum(json, entries) });
  const steps = await listCheckpoints(store);
  const old = steps.filter((each) => each <= step).slice(keep).map(checkpointPath);
  const beyond = steps.filter((each) => each > step).map(checkpointPath).filter((each) => damaged.includes(each));
  for (const each of [...beyond, ...old]) await store.remove(each);
  return path;
}

function checkFinite(entries: Entries, step: number): void {
  for (const [path, { data }] of Object.entries(entries)) {
    if (!(data instanceof Float32Array)) continue;
    const value = data.find((each) => !Number.isFinite(each));
    if (value === undefined) continue;
    throw new NonFiniteError(
      `train: ${path} must be finite to be saved, got ${value} after step ${step}. The checkpoints written before are intact.`,
      { step, quantity: 'parameter', value, path });
  }
}

type Layout = Readonly<Record<string, { readonly dtype: string; readonly shape: readonly number[] }>>;

/** headChecksum — of a training state's JSON and of what the header says of its tensors: checked before either is believed. */
export function headChecksum(json: string, tensors: Layout): string {
  const layout = Object.keys(tensors).sort().map((name) => `${name} ${tensors[name]?.dtype} ${tensors[name]?.shape.join()}`);
  return hex(fnv1a(new TextEncoder().encode([json, ...layout].join('\n'))));
}

/** dataChecksum — of all tensor bytes, in the order of the names. */
export function dataChecksum(entries: Entries): string {
  return hex(Object.keys(entries).sort().reduce((hash, name) => fnv1a(wordsOf((entries[name] as Entries[string]).data), hash), FNV_BASIS));
}

const FNV_BASIS = 0x811c9dc5;

/** FNV-1a over words as wide as the array's; any change of a single word changes the result. */
function fnv1a(words: Uint32Array | Uint8Array, start = FNV_BASIS): number {
  let hash = start;
  for (let i = 0; i < words.length; i++) hash = Math.imul(hash ^ (words[i] as number), 0x01000193);
  return hash;
}

const hex = (hash: number): string => (hash >>> 0).toString(16).padStart(8, '0');

/** The bytes as words; those of BOOL tensors, which need not fill words, one by one. */
function wordsOf({ buffer, byteOffset, byteLength }: ArrayBufferView): Uint32Array | Uint8Array {
  const isWhole = byteOffset % 4 === 0 && byteLength % 4 === 0;
  return isWhole ? new Uint32Array(buffer, byteOffset, byteLength / 4) : new Uint8Array(buffer, byteOffset, byteLength);
}
