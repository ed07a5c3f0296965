import { ConfigError, checkInteger, foldSeed, randomBits } from '@evenkeel/core-tensor';

export type OneEpochOptions = {
  /** How many examples there are. */
  count: number;
  batchSize: number;
  seed: number;
  /** How many steps will be asked for: more than an epoch has is then an error at once, and not when they run out. */
  steps?: number;
  /** Begin anew, in another order, when an epoch is over. Default false. */
  allowRepeat?: boolean;
};

/** OneEpochSampler — which examples make up the batch of a step. */
export type OneEpochSampler = {
  /** Steps of an epoch; what is left over and makes no whole batch is dropped. */
  readonly length: number;
  /** Indices of the batch of a step, counted from 0: of `batchSize` examples, each below `count`. */
  indices(step: number): Uint32Array;
  /** How often each example has been seen after `steps` steps, on average: 1 exactly at the end of the first epoch. */
  epochsAfter(steps: number): number;
};

/**
 * oneEpochSampler — each example exactly once, in random order.
 *
 * A batch is a pure function of seed and step: a run that resumes at step n sees the rest of the order that an uninterrupted run sees.
 * With `allowRepeat` each epoch has an order of its own, and drops other examples.
 *
 * @throws ConfigError  if there are fewer examples than a batch, or `steps` or a later step is beyond the first epoch without `allowRepeat`.
 *
 * Source: Komatsuzaki 2019, arXiv:1906.06669.
 */
export function oneEpochSampler(options: OneEpochOptions): OneEpochSampler {
  return samplerOf('oneEpochSampler', 'examples', options);
}

/** samplerOf — `oneEpochSampler` on behalf of `fn`, whose examples are called `noun`. */
export function samplerOf(fn: string, noun: string, { count, batchSize, seed, steps, allowRepeat = false }: OneEpochOptions): OneEpochSampler {
  checkInteger(fn, 'count', count);
  checkInteger(fn, 'batchSize', batchSize);
  checkInteger(fn, 'seed', seed, 0);
  const length = Math.floor(count / batchSize);
  if (length === 0) throw new ConfigError(`${fn}: ${noun} must be at least the ${batchSize} of a batch, got ${count}`);
  const help = `Use more data or fewer steps, or set allowRepeat.`;
  if (steps !== undefined) checkInteger(fn, 'steps', steps);
  if (steps !== undefined && steps > length && !allowRepeat) throw new ConfigError(`${fn}: steps must be at most ${length}, which see each of ${count} ${noun} once, got ${steps}. ${help}`);
  let current: { epoch: number; order: Uint32Array } | undefined;
  const orderOf = (epoch: number): Uint32Array => {
    if (current?.epoch !== epoch) current = { epoch, order: shuffled(count, foldSeed(seed, 'epoch', epoch)) };
    return current.order;
  };
  return {
    length,
    indices: (step) => {
      checkInteger('indices', 'step', step, 0);
      if (step >= length && !allowRepeat) throw new ConfigError(`indices: step must be below ${length}, the steps of one epoch, got ${step}. ${help}`);
      const start = (step % length) * batchSize;
      return orderOf(Math.floor(step / length)).slice(start, start + batchSize);
    },
    epochsAfter: (done) => done / length,
  };
}

/** The numbers from 0 to `count − 1` in random order (Fisher–Yates). */
function shuffled(count: number, seed: number): Uint32Array {
  const order = Uint32Array.from({ length: count }, (_, i) => i);
  const bits = randomBits(seed, 2 * count);
  for (let last = count - 1; last > 0; last--) {
    const fraction = ((bits[2 * last] as number) * 2 ** 21 + ((bits[2 * last + 1] as number) >>> 11)) / 2 ** 53;
    const other = Math.floor(fraction * (last + 1));
    [order[last], order[other]] = [order[other] as number, order[last] as number];
  }
  return order;
}
