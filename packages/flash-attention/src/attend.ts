import { checkBoolean } from '@evenkeel/core-tensor';
import type { Tensor } from '@tensorflow/tfjs-core';
import { constant } from './inputs.ts';
import { hidePaddedRows } from './keyPadding.ts';
import type {
  AttentionAttrs, AttentionResult, AttentionSizes, AttentionTerms, FlashAttentionOptions, GeneralAttrs, GeneralTerms, ReturnStats,
} from './options.ts';
import { resolveOptions } from './resolveOptions.ts';

/** Wanted — what a call returns: `out`; `{ out, lse }`, both with gradients; or `{ out, lse, rowMax, entropy }`. */
export type Wanted = 'out' | 'lse' | 'stats';

/** AttentionOps — what computes [out, lse] and, where `stats` are wanted, [out, lse, rowMax, entropy]: `plain` where it can, `general` where there is a softcap or a block mask. */
export type AttentionOps = {
  plain: (terms: AttentionTerms, attrs: AttentionAttrs, wanted: Wanted) => readonly Tensor[];
  general: (terms: GeneralTerms, attrs: GeneralAttrs, wanted: Wanted) => readonly Tensor[];
};

/** attend — checks and resolves the options of `fn`, computes with `ops`, and returns what was asked for. Call it in a tidy. */
export function attend(fn: string, sizes: AttentionSizes, options: FlashAttentionOptions & ReturnStats, { plain, general }: AttentionOps): AttentionResult {
  const { returnStats = false, returnLse = false } = options;
  checkBoolean(fn, 'returnStats', returnStats);
  checkBoolean(fn, 'returnLse', returnLse);
  const { attrs, terms } = resolveOptions(fn, sizes, options);
  const wanted = returnStats ? 'stats' : returnLse ? 'lse' : 'out';
  const computes = wanted === 'out' && options.observe !== undefined ? 'stats' : wanted;
  const { blockMask, ...plainTerms } = terms;
  const { softcap, blockQ: _, blockK: __, ...plainAttrs } = attrs;
  const isPlain = softcap === 0 && blockMask === undefined;
  const computed = isPlain ? plain(plainTerms, plainAttrs, computes) : general(terms, attrs, computes);
  const [out, lse, rowMax, entropy] = (options.keyPaddingMask === undefined ? computed : hidePaddedRows(computed)) as [Tensor, Tensor, Tensor, Tensor];
  if (computes === 'stats') {
    options.observe?.('entropy', entropy);
    options.observe?.('rowMax', rowMax);
  }
  if (wanted === 'out') return out;
  if (wanted === 'lse') return { out, lse };
  const watched = (name: string, x: Tensor): Tensor =>
    constant(x, `${fn}: ${name} of returnStats must only be watched, got a request for its gradient. Use returnLse for that of lse.`);
  return { out, lse: watched('lse', lse), rowMax: watched('rowMax', rowMax), entropy: watched('entropy', entropy) };
}
