import { dispose, memory, type Tensor, type TensorContainer } from '@tensorflow/tfjs-core';
import { treeEntries, type Params, type Reading } from '@evenkeel/core-tensor';
import { multilevelTrain, type Stage } from '@evenkeel/training';
import { FAMILIES, type Family, type FamilyName, type Model } from './families.ts';
import { optimizerOf, PLAIN, type Row } from './rows.ts';

const STEPS = 5;
const SEED = 3;
/** Rounding alone gives 2e-7 here, the weakest of the techniques 4e-4. */
const TOLERANCE = 1e-5;

/** Five steps of a row on a family: the losses, the parameters that are still as they were, and what a monitor read. */
type Steps = { readonly losses: readonly number[]; readonly unchanged: readonly string[]; readonly readings: readonly Reading['values'][] };

/** The losses without any technique, by family. */
const plainLosses = new Map<FamilyName, Promise<readonly number[]>>();

/**
 * tryOut — trains a family's tiny model for five steps with a technique, twice from the same seed.
 *
 * @returns  what is wrong, or undefined: each loss must be finite, each parameter must change, the losses must be the same both times, no tensor
 *           may stay behind, and the technique must change the losses, or leave them as they are (`keepsLoss`).
 */
export async function tryOut(name: FamilyName, row: Row): Promise<string | undefined> {
  const family = FAMILIES[name];
  try {
    if (!plainLosses.has(name)) plainLosses.set(name, steps(family, PLAIN).then(({ losses }) => losses));
    const plain = await (plainLosses.get(name) as Promise<readonly number[]>);
    const before = memory().numTensors;
    const [once, again] = [await steps(family, row), await steps(family, row)];
    return problemWith(name, row, { once, again, plain, left: memory().numTensors - before });
  } catch (error) {
    return (error as Error).message;
  }
}

type Found = { once: Steps; again: Steps; plain: readonly number[]; left: number };

function problemWith(name: FamilyName, { training, keepsLoss = [] }: Row, { once, again, plain, left }: Found): string | undefined {
  const { losses, unchanged, readings } = once;
  if (losses.length !== STEPS || !losses.every(Number.isFinite)) return `losses must be ${STEPS} finite numbers, got ${losses.join(', ')}`;
  if (unchanged.length > 0) return `every parameter must change, got the same ${unchanged.join(', ')}`;
  if (String(again.losses) !== String(losses)) return `losses must be the same again, got ${again.losses.join(', ')} after ${losses.join(', ')}`;
  if (left !== 0) return `no tensor may stay behind, got ${left}`;
  const isKept = losses.every((loss, i) => Math.abs(loss - (plain[i] as number)) < TOLERANCE);
  const mustBeKept = keepsLoss.includes(name);
  if (isKept !== mustBeKept) return `losses must be ${mustBeKept ? 'those' : 'others than'} without it, got ${losses.join(', ')} and without it ${plain.join(', ')}`;
  if (training?.monitor !== undefined && !readings.some((values) => 'blocks.0.attn.entropy' in values)) return 'the monitor must read the entropy of attention, got none';
  return readings.flatMap((values) => Object.entries(values)).find(([, numbers]) => !numbers.every(Number.isFinite))?.join(' must be finite, got ');
}

async function steps(family: Family, row: Row): Promise<Steps> {
  const large = family.model(row.techniques ?? {});
  const levels = row.cycle === true ? [large, family.model(row.techniques ?? {}, true)] : [large];
  const [losses, readings]: [number[], Reading['values'][]] = [[], []];
  const { params } = await multilevelTrain({
    levels, initSteps: 1, steps: row.cycle === true ? [STEPS - 3, 2] : [STEPS], tokensPerStep: 1, seed: SEED, batches: family.batch,
    optimizerFor: ({ level }: Stage) => optimizerOf(row, (levels[level] as Model).specs),
    stageOptions: () => row.training ?? {},
    callbacks: { onStep: ({ loss }) => void losses.push(loss), onReading: ({ values }) => void readings.push(values) },
  });
  const unchanged = await unchangedSince(large.init({ seed: SEED }), params);
  dispose(params as TensorContainer);
  return { losses, readings, unchanged };
}

/** The paths whose values are equal; frees the first values. */
async function unchangedSince(first: Params, now: Params): Promise<string[]> {
  const values = new Map(treeEntries<Tensor>(now));
  const same = await Promise.all(treeEntries<Tensor>(first).map(async ([path, x]) =>
    (String(await x.data()) === String(await (values.get(path) as Tensor).data()) ? [path] : [])));
  dispose(first as TensorContainer);
  return same.flat();
}
