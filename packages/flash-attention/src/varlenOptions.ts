import { checkBoolean, checkDtype, checkInteger, checkRank, checkShape, ConfigError, ShapeError } from '@evenkeel/core-tensor';
import { Tensor, tensor1d } from '@tensorflow/tfjs-core';
import { checkFloats, checkHeads } from './inputs.ts';
import { checkOptionNames, VARLEN_OPTIONS } from './optionNames.ts';
import type { AttentionAttrs, ScoreOptions } from './options.ts';
import { resolveScores } from './resolveOptions.ts';

/** CuSeqlens — where the sequences begin and the last one ends: `b+1` integers from 0 to the number of rows, which never decrease. */
export type CuSeqlens = readonly number[] | Int32Array | Tensor;

export type FlashAttentionVarlenOptions = ScoreOptions & {
  /** Queries of the longest sequence; needed where `cuSeqlensQ` is a tensor, else the longest there is. */
  readonly maxSeqlenQ?: number;
  /** Keys of the longest sequence; needed where `cuSeqlensK` is a tensor. The dropout mask depends on it. */
  readonly maxSeqlenK?: number;
};

export type VarlenInputs = { q: Tensor; k: Tensor; v: Tensor; alibiSlopes?: Tensor; cuSeqlensQ: Tensor; cuSeqlensK: Tensor };

/**
 * VarlenAttrs — those of attention, and the greatest lengths. Weight (head, row, column), where row counts from the first of all queries
 * and column from the first key of the sequence, is dropped by bits((head·n + row)·maxSeqlenK + column). `boundaries` are the numbers
 * in `cuSeqlensQ` and `cuSeqlensK` where they are known: for the reference, not for kernels.
 */
export type VarlenAttrs = AttentionAttrs & { maxSeqlenQ: number; maxSeqlenK: number; boundaries?: { q: readonly number[]; k: readonly number[] } };

/** What flashAttention takes and this function does not: callers without types are told so instead of being ignored. */
const FOREIGN = ['bias', 'softcap', 'blockMask', 'blockSize', 'keyPaddingMask', 'returnStats'] as const;

/** checkVarlenInputs — q `n h d`, k and v `m g d`, float32, n, m ≥ 1, g divides h. */
export function checkVarlenInputs(fn: string, q: Tensor, k: Tensor, v: Tensor): void {
  for (const [name, tensor] of [['q', q], ['k', k], ['v', v]] as const) checkFloats(fn, name, tensor, 3);
  checkShape(fn, 'k', k, [null, null, q.shape[2] as number]);
  checkShape(fn, 'v', v, k.shape);
  if (q.shape[0] === 0) throw new ShapeError(`${fn}: q must have at least one query, got 0`);
  if (k.shape[0] === 0) throw new ShapeError(`${fn}: k must have at least one key, got 0`);
  checkHeads(fn, q.shape[1] as number, k.shape[1] as number);
}

/** resolveVarlen — the checked boundaries and options as inputs and attrs of the fused op. */
export function resolveVarlen(
  fn: string, [q, k, v]: readonly [Tensor, Tensor, Tensor], cuSeqlens: { q: CuSeqlens; k: CuSeqlens }, options: FlashAttentionVarlenOptions,
): { inputs: VarlenInputs; attrs: VarlenAttrs } {
  for (const name of FOREIGN) {
    if ((options as { [name: string]: unknown })[name] !== undefined) throw new ConfigError(`${fn}: ${name} must be absent, got one. Use flashAttention on each sequence.`);
  }
  checkOptionNames(fn, options, VARLEN_OPTIONS);
  if (options.returnLse !== undefined) checkBoolean(fn, 'returnLse', options.returnLse);
  const queries = resolveBoundaries(fn, 'Q', cuSeqlens.q, q.shape[0] as number, options.maxSeqlenQ);
  const keys = resolveBoundaries(fn, 'K', cuSeqlens.k, k.shape[0] as number, options.maxSeqlenK);
  const count = queries.tensor.size;
  checkShape(fn, 'cuSeqlensK', keys.tensor, [count]);
  const [, numHeads, headDim] = q.shape as [number, number, number];
  const { attrs, alibiSlopes } = resolveScores(fn, { batchSize: count - 1, seqLen: queries.longest, kvLen: keys.longest, numHeads, headDim }, options);
  return {
    inputs: { q, k, v, alibiSlopes, cuSeqlensQ: queries.tensor, cuSeqlensK: keys.tensor },
    attrs: {
      ...attrs, maxSeqlenQ: queries.longest, maxSeqlenK: keys.longest,
      ...(queries.values && keys.values && { boundaries: { q: queries.values, k: keys.values } }),
    },
  };
}

type Boundaries = { tensor: Tensor; values?: readonly number[]; longest: number };

function resolveBoundaries(fn: string, side: 'Q' | 'K', given: CuSeqlens, rows: number, max: number | undefined): Boundaries {
  const [arg, maxArg] = [`cuSeqlens${side}`, `maxSeqlen${side}`];
  if (given instanceof Tensor) {
    checkDtype(fn, arg, given, 'int32');
    checkRank(fn, arg, given, 1);
    if (given.size < 2) throw new ShapeError(`${fn}: ${arg} must have at least 2 numbers, got ${given.size}`);
    if (max === undefined) throw new ConfigError(`${fn}: ${maxArg} must be given where ${arg} is a tensor, got undefined`);
    checkInteger(fn, maxArg, max);
    return { tensor: given, longest: max };
  }
  if (!Array.isArray(given) && !(given instanceof Int32Array)) {
    throw new ConfigError(`${fn}: ${arg} must be an array of integers or an int32 tensor, got ${given === null ? 'null' : typeof given}`);
  }
  const values = Array.from(given as readonly number[]);
  checkBoundaries(fn, arg, values, side === 'Q' ? 'q' : 'k', rows);
  const longest = Math.max(1, ...values.slice(1).map((end, b) => end - (values[b] as number)));
  if (max !== undefined) checkInteger(fn, maxArg, max, longest);
  return { tensor: tensor1d(values, 'int32'), values, longest: max ?? longest };
}

function checkBoundaries(fn: string, arg: string, values: readonly number[], of: string, rows: number): void {
  if (values.length < 2) throw new ConfigError(`${fn}: ${arg} must have at least 2 numbers, got ${values.length}`);
  values.forEach((value) => checkInteger(fn, `each of ${arg}`, value, 0));
  if (values[0] !== 0) throw new ConfigError(`${fn}: ${arg} must start at 0, got ${values[0]}`);
  values.slice(1).forEach((value, b) => {
    if (value < (values[b] as number)) throw new ConfigError(`${fn}: ${arg} must not decrease, got ${value} after ${values[b]}`);
  });
  if (values.at(-1) !== rows) throw new ConfigError(`${fn}: ${arg} must end at the ${rows} rows of ${of}, got ${values.at(-1)}`);
}
