import { checkInteger } from '@evenkeel/core-tensor';
import { tensor1d, type Tensor1D } from '@tensorflow/tfjs-core';

/**
 * alibiSlopesFor — ALiBi's slopes for `numHeads` heads.
 *
 *     n a power of two:  2^(−8/n), 2^(−16/n), …, 2^(−8)        else: those for the power p below n, then every other one of those for 2p
 *
 * @returns  `h`, float32, owned by the caller.
 * @throws ConfigError  if `numHeads` is not a positive integer.
 *
 * Source: Press et al. 2021, arXiv:2108.12409, §3; for other numbers of heads, the authors' code.
 */
export function alibiSlopesFor(numHeads: number): Tensor1D {
  checkInteger('alibiSlopesFor', 'numHeads', numHeads);
  const power = 2 ** Math.floor(Math.log2(numHeads));
  const extra = geometric(2 * power).filter((_, i) => i % 2 === 0).slice(0, numHeads - power);
  return tensor1d([...geometric(power), ...extra], 'float32');
}

const geometric = (count: number): number[] => Array.from({ length: count }, (_, i) => 2 ** ((-8 * (i + 1)) / count));
