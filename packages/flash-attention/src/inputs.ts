import { checkDtype, checkRank, checkShape, ConfigError, describeShape, ShapeError } from '@evenkeel/core-tensor';
import { customGrad, Tensor } from '@tensorflow/tfjs-core';
import type { AttentionSizes } from './options.ts';

/** checkTensor — throws ConfigError unless `x` is a tensor: for callers without types. */
export function checkTensor(fn: string, arg: string, x: unknown): asserts x is Tensor {
  if (!(x instanceof Tensor)) throw new ConfigError(`${fn}: ${arg} must be a tensor, got ${x === null ? 'null' : typeof x}`);
}

/** checkFloats — a float32 tensor of `rank` axes. */
export function checkFloats(fn: string, arg: string, x: unknown, rank: number): asserts x is Tensor {
  checkTensor(fn, arg, x);
  checkDtype(fn, arg, x, 'float32');
  checkRank(fn, arg, x, rank);
}

/** checkFlags — a bool or int32 tensor of `shape`. */
export function checkFlags(fn: string, arg: string, x: unknown, shape: readonly number[]): asserts x is Tensor {
  checkTensor(fn, arg, x);
  if (x.dtype !== 'bool' && x.dtype !== 'int32') throw new ShapeError(`${fn}: ${arg} must have dtype bool or int32, got ${x.dtype}`);
  checkShape(fn, arg, x, shape);
}

/** checkAttentionInputs — q `b t h d`, k and v `b s g d`, float32, s ≥ 1, g divides h. */
export function checkAttentionInputs(fn: string, q: Tensor, k: Tensor, v: Tensor): void {
  for (const [name, tensor] of [['q', q], ['k', k], ['v', v]] as const) checkFloats(fn, name, tensor, 4);
  const [batchSize = 0, , numHeads = 0, headDim = 0] = q.shape;
  const [, kvLen = 0, numKvHeads = 0] = k.shape;
  checkShape(fn, 'k', k, [batchSize, null, null, headDim]);
  checkShape(fn, 'v', v, k.shape);
  if (kvLen === 0) throw new ShapeError(`${fn}: k must have at least one key, got shape ${describeShape(k.shape)}`);
  checkHeads(fn, numHeads, numKvHeads);
}

/** checkHeads — g divides h. */
export function checkHeads(fn: string, numHeads: number, numKvHeads: number): void {
  if (numKvHeads === 0 || numHeads % numKvHeads !== 0) {
    throw new ShapeError(`${fn}: k must have a number of heads that divides the ${numHeads} of q, got ${numKvHeads}`);
  }
}

/** sizesOf — of checked q and k. */
export function sizesOf(q: Tensor, k: Tensor): AttentionSizes {
  const [batchSize, seqLen, numHeads, headDim] = q.shape as [number, number, number, number];
  return { batchSize, seqLen, kvLen: k.shape[1] as number, numHeads, headDim };
}

/** constant — `x`, from which no gradient may be asked: whoever does is told `message`. */
export function constant(x: Tensor, message: string): Tensor {
  return customGrad((y) => ({
    value: (y as Tensor).clone(),
    gradFunc: () => { throw new ConfigError(message); },
  }))(x);
}
