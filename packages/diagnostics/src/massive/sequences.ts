import { checkDtype, checkMinRank } from '@evenkeel/core-tensor';
import type { Tensor } from '@tensorflow/tfjs-core';

/** sequencesOf — the absolute values of hidden states `… t c`, sequence by sequence. */
export async function sequencesOf(fn: string, h: Tensor): Promise<Float32Array[]> {
  checkMinRank(fn, 'h', h, 2);
  checkDtype(fn, 'h', h, 'float32');
  const values = (await h.data<'float32'>()).map(Math.abs);
  const size = (h.shape.at(-1) as number) * (h.shape.at(-2) as number);
  return Array.from({ length: size === 0 ? 0 : values.length / size }, (_, i) => values.subarray(i * size, (i + 1) * size));
}
