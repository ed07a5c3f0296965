import { ConfigError, checkInteger, foldSeed, randomBits, type Schedule } from '@evenkeel/core-tensor';
import { tokenSource, type Tokens } from './tokenSource.ts';

/** Batch — rows of token ids and, for each, the token that follows: `inputs` and `targets` are `b t`, row-major. */
export type Batch = { readonly inputs: Int32Array; readonly targets: Int32Array; readonly shape: [batchSize: number, seqLen: number] };

/** BatchOptions — `contextLength`: tokens in a row; `batchSize`: rows. */
export type BatchOptions = { contextLength: number; batchSize: number };

/** RandomBatchOptions — `batchSize` may depend on the step: `batchRamp({ … })` of @evenkeel/training. `seed`: a safe integer ≥ 0. */
export type RandomBatchOptions = { contextLength: number; batchSize: number | Schedule; seed: number };

/** RandomBatches — `batch(step)` depends on nothing but the seed and the step. */
export type RandomBatches = { batch(step: number): Batch };

/**
 * randomBatches — windows at random places of the tokens, each place as likely as any other.
 *
 * A batch is a pure function of seed and step: a run that resumes at step n sees what an uninterrupted run sees.
 *
 * @param tokens   at least `contextLength + 1` of them.
 * @throws ConfigError  if there are fewer tokens, saying how many there are and how many are needed.
 */
export function randomBatches(tokens: Tokens, { contextLength, batchSize, seed }: RandomBatchOptions): RandomBatches {
  checkInteger('randomBatches', 'contextLength', contextLength);
  if (typeof batchSize === 'number') checkInteger('randomBatches', 'batchSize', batchSize);
  checkInteger('randomBatches', 'seed', seed, 0);
  const source = tokenSource(tokens);
  const places = source.length - contextLength;
  if (places < 1) {
    throw new ConfigError(
      `randomBatches: tokens must be at least ${contextLength + 1} for a context of ${contextLength}, got ${source.length}. Use more text or a shorter context.`,
    );
  }
  const batch = (step: number): Batch => {
    checkInteger('batch', 'step', step, 0);
    const rows = typeof batchSize === 'number' ? batchSize : batchSize(step);
    checkInteger('batch', 'batchSize', rows);
    const bits = randomBits(foldSeed(seed, 'batch', step), 2 * rows);
    const window = new Int32Array(contextLength + 1);
    const inputs = new Int32Array(rows * contextLength);
    const targets = new Int32Array(rows * contextLength);
    for (let row = 0; row < rows; row++) {
      const fraction = ((bits[2 * row] as number) * 2 ** 21 + ((bits[2 * row + 1] as number) >>> 11)) / 2 ** 53;
      source.read(Math.floor(fraction * places), window);
      inputs.set(window.subarray(0, contextLength), row * contextLength);
      targets.set(window.subarray(1), row * contextLength);
    }
    return { inputs, targets, shape: [rows, contextLength] };
  };
  return { batch };
}
