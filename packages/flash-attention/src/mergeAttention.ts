import { checkShape, ConfigError, describeValue } from '@evenkeel/core-tensor';
import {
  add, div, equal, exp, expandDims, greater, log, max, mul, scalar, stack, sub, sum, Tensor, tidy, transpose, unstack, where,
} from '@tensorflow/tfjs-core';
import { checkFloats } from './inputs.ts';
import type { AttentionWithLse } from './options.ts';

/**
 * mergeAttention — the attention over all keys from the attentions over parts of them.
 *
 *     lse = log Σ_p exp(lse_p)        out = Σ_p exp(lse_p − lse) · out_p
 *
 * The parts come from `flashAttention(q, k_p, v_p, { …, returnLse: true })` of the same queries and disjoint keys, in any order; a part
 * in which a query saw no key (lse +Infinity) adds nothing to it, and a query that saw none in all parts keeps out 0 and lse +Infinity.
 * `causal` and `window` of a part count from its own last key, so that only the part with the last keys can be causal. With dropout
 * give each part a seed of its own. Differentiable in `out` and `lse` of every part.
 *
 * @param parts  `{ out: b t h d, lse: b h t }`, float32, one or more.
 * @returns      `{ out: b t h d, lse: b h t }`, owned by the caller; the parts are left alive.
 * @throws ShapeError   if a part's ranks, dtypes or sizes do not fit.
 * @throws ConfigError  if there is no part, or one lacks a tensor.
 *
 * Source: Dao et al. 2022, arXiv:2205.14135, §3.1; with the log-sum-exp alone as statistic, Dao 2023, arXiv:2307.08691, §3.1.
 */
export function mergeAttention(...parts: readonly AttentionWithLse[]): AttentionWithLse {
  checkParts(parts);
  return tidy('mergeAttention', () => {
    const lses = stack(parts.map(({ lse }) => lse)); // p b h t
    const unseen = greater(lses, 3e38); // false for NaN, which is to stay
    const largest = max(where(unseen, scalar(-Infinity), lses), 0); // b h t
    const top = where(equal(largest, -Infinity), scalar(0), largest);
    const shares = where(unseen, scalar(0), exp(where(unseen, scalar(0), sub(lses, top)))); // p b h t
    const total = sum(shares, 0); // b h t
    const blind = equal(total, 0);
    const divisor = where(blind, scalar(1), total);
    const weights = unstack(div(shares, divisor)); // of p, b h t
    const outs = parts.map(({ out }, p) => mul(out, expandDims(transpose(weights[p] as Tensor, [0, 2, 1]), -1)));
    return { out: outs.reduce((all, out) => add(all, out)), lse: where(blind, scalar(Infinity), add(top, log(divisor))) };
  });
}

function checkParts(parts: readonly AttentionWithLse[]): void {
  if (parts.length === 0) throw new ConfigError('mergeAttention: parts must have at least one { out, lse }, got none');
  parts.forEach((part: Partial<AttentionWithLse>, p) => {
    checkPart(`parts[${p}]`, part);
    checkFloats('mergeAttention', `parts[${p}].out`, part.out, 4);
    checkFloats('mergeAttention', `parts[${p}].lse`, part.lse, 3);
    const { out, lse } = part as AttentionWithLse;
    checkShape('mergeAttention', `parts[${p}].out`, out, (parts[0] as AttentionWithLse).out.shape);
    const [batchSize, seqLen, numHeads] = out.shape as [number, number, number];
    checkShape('mergeAttention', `parts[${p}].lse`, lse, [batchSize, numHeads, seqLen]);
  });
}

/** What attention gives without `returnLse` is a tensor, and parts stand side by side, not in an array. */
function checkPart(arg: string, part: unknown): void {
  if (typeof part === 'object' && part !== null && !Array.isArray(part) && !(part instanceof Tensor)) return;
  const got = part instanceof Tensor ? 'a tensor' : describeValue(part);
  throw new ConfigError(`mergeAttention: ${arg} must be { out, lse }, as flashAttention(…, { returnLse: true }) gives, got ${got}`);
}
