import { cast, gather, greater, max, mul, notEqual, reshape, scalar, sub, tensor, where, type Tensor } from '@tensorflow/tfjs-core';
import type { AttentionMask } from '../mask.ts';
import { scoreMask, type ScoreMask } from './scores.ts';

type Sizes = { seqLen: number; kvLen: number; blockQ: number; blockK: number };

/** blockwiseMask — what `mask` lets be seen within the tiles that `blockMask: ⌈t/blockQ⌉ ⌈s/blockK⌉`, int32, keeps. */
export function blockwiseMask(blockMask: Tensor, mask: AttentionMask | undefined, { seqLen, kvLen, blockQ, blockK }: Sizes): ScoreMask {
  const kept = cast(notEqual(blockMask, scalar(0, 'int32')), 'float32');
  const rows = gather(kept, tileOf(seqLen, blockQ), 0); // t ⌈s/blockK⌉
  const visible = gather(rows, tileOf(kvLen, blockK), 1); // t s
  const rest = scoreMask(mask);
  if (rest === undefined) return maskFromVisible(visible);
  const seen = cast(greater(rest.bias, -1), 'float32'); // t s; all of the row for a query that sees nothing
  const both = mul(visible, seen);
  return maskFromVisible(rest.sees === undefined ? both : mul(both, reshape(rest.sees, [-1, 1])));
}

/** maskFromVisible — the mask of `visible: t s`, float32, 1 where a query sees a key. */
export function maskFromVisible(visible: Tensor): ScoreMask {
  const sees = max(visible, 1); // t
  const hidden = mul(sub(1, visible), reshape(sees, [-1, 1])); // t s
  return { bias: where(greater(hidden, 0), scalar(-Infinity), scalar(0)), sees };
}

/** Which tile of `size` each of `count` places is in. */
const tileOf = (count: number, size: number): Tensor => tensor(Int32Array.from({ length: count }, (_, i) => Math.floor(i / size)), [count], 'int32');
