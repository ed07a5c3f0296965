import { checkInteger, ConfigError, foldSeed } from '@evenkeel/core-tensor';
import { samplerOf } from '../oneEpochSampler.ts';
import { imageBatch, type Augmentation, type ImageBatch } from './imageBatch.ts';
import type { ImageSource } from './imageSource.ts';
import { repeatedSampler } from './repeatedSampler.ts';

export type ImageLoaderOptions = {
  batchSize: number;
  seed: number;
  /** Default: as many as the source has names for, or the largest label + 1. */
  numClasses?: number;
  /** Default none. */
  augment?: Augmentation;
  /** A new random order in each epoch (default), dropping what makes no whole batch; or `false`: in order, the last batch shorter. */
  shuffle?: boolean;
  /** How often each image stands in its batch (see `repeatedSampler`). Default 1. */
  repeats?: number;
  /** Batches that are prepared before they are asked for. Default 2. */
  prefetch?: number;
};

/** ImageLoader — batches by step. */
export type ImageLoader = {
  /** Steps of an epoch. */
  readonly length: number;
  readonly numClasses: number;
  /** The batch of a step: a function of the step alone. The ones that follow are prepared while it is used. */
  batch(step: number): Promise<ImageBatch>;
  /** Which images a step's batch consists of. */
  indices(step: number): Uint32Array;
  /** How many batches were ready when they were asked for, and how many were not. */
  readonly counts: { readonly ready: number; readonly waited: number };
};

/**
 * imageLoader — batches of a source: shuffled, augmented, and prepared in advance.
 *
 * A batch is a pure function of seed and step, so that a run that resumes sees what an uninterrupted one sees. While a step computes, the
 * next batches are read, decoded and augmented: decoding on other threads, augmentation whenever the thread has nothing else to do.
 *
 * @throws ConfigError  if there are fewer images than a batch, or a label is not below `numClasses`.
 */
export function imageLoader(source: ImageSource, options: ImageLoaderOptions): ImageLoader {
  const { seed, augment, prefetch = 2, numClasses = source.classes?.length ?? largest(source.labels) + 1 } = options;
  checkInteger('imageLoader', 'numClasses', numClasses);
  checkInteger('imageLoader', 'prefetch', prefetch, 0);
  const { length, indices } = orderOf(source, options);
  const pending = new Map<number, { result: Promise<ImageBatch>; isReady: boolean }>();
  const counts = { ready: 0, waited: 0 };

  const make = async (step: number): Promise<ImageBatch> => {
    const chosen = indices(step);
    const images = await source.read(chosen);
    const batch = imageBatch({ shape: [chosen.length, ...source.shape], images, labels: Uint32Array.from(chosen, (index) => source.labels[index] as number) }, numClasses);
    return augment === undefined ? batch : augment(batch, foldSeed(seed, 'augment', step));
  };
  const start = (step: number, isAhead: boolean): { result: Promise<ImageBatch>; isReady: boolean } => {
    const entry = { result: isAhead ? nextTurn().then(() => make(step)) : make(step), isReady: false };
    entry.result.then(() => { entry.isReady = true; }, () => { entry.isReady = true; }); // whoever asks for it hears of the error
    pending.set(step, entry);
    return entry;
  };
  return {
    length, numClasses, indices, counts,
    batch: async (step) => {
      const entry = pending.get(step) ?? start(step, false);
      counts[entry.isReady ? 'ready' : 'waited']++;
      for (const other of pending.keys()) if (other < step || other > step + prefetch) pending.delete(other); // left behind by a jump
      pending.delete(step);
      const batch = await entry.result;
      for (let ahead = step + 1; ahead <= step + prefetch; ahead++) if (!pending.has(ahead)) start(ahead, true);
      return batch;
    },
  };
}

function orderOf(source: ImageSource, { batchSize, seed, shuffle = true, repeats = 1 }: ImageLoaderOptions): { length: number; indices(step: number): Uint32Array } {
  const count = source.labels.length;
  if (repeats !== 1) {
    if (!shuffle) throw new ConfigError(`imageLoader: repeats must be 1 without shuffle, got ${repeats}`);
    return repeatedSampler({ count, batchSize, seed, repeats, allowRepeat: true });
  }
  if (shuffle) return samplerOf('imageLoader', 'images', { count, batchSize, seed, allowRepeat: true });
  checkInteger('imageLoader', 'batchSize', batchSize);
  const length = Math.ceil(count / batchSize);
  return {
    length,
    indices: (step) => {
      checkInteger('indices', 'step', step, 0);
      const first = (step % length) * batchSize;
      return Uint32Array.from({ length: Math.min(batchSize, count - first) }, (_, i) => first + i);
    },
  };
}

/** When the events that wait have had their turn. */
const nextTurn = (): Promise<void> => new Promise((resolve) => { setTimeout(resolve, 0); });

const largest = (labels: ArrayLike<number>): number => Array.from(labels).reduce((most, label) => Math.max(most, label), 0);
