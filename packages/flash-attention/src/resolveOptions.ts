import {
  checkBoolean, checkDtype, checkInteger, checkPositive, checkProbability, checkRank, checkShape, ConfigError, describeShape, ShapeError, type Seed,
} from '@evenkeel/core-tensor';
import { cast, type Tensor } from '@tensorflow/tfjs-core';
import { checkFlags, checkTensor, constant } from './inputs.ts';
import { paddingBias } from './keyPadding.ts';
import type { AttentionAttrs, AttentionSizes, FlashAttentionOptions, GeneralAttrs, GeneralTerms, ScoreOptions } from './options.ts';

/** resolveOptions — checked options with their defaults: numbers for `attrs`, and the tensors among them. */
export function resolveOptions(fn: string, sizes: AttentionSizes, options: FlashAttentionOptions): { attrs: GeneralAttrs; terms: GeneralTerms } {
  const { attrs, alibiSlopes } = resolveScores(fn, sizes, options);
  const { batchSize, numHeads, seqLen, kvLen } = sizes;
  const { bias, softcap = 0, blockMask, blockSize = [64, 64], keyPaddingMask } = options;
  checkSoftcap(fn, softcap);
  const [blockQ, blockK] = checkBlockSize(fn, blockSize);
  if (bias !== undefined) checkBias(fn, bias, [batchSize, numHeads, seqLen, kvLen]);
  if (blockMask !== undefined) checkFlags(fn, 'blockMask', blockMask, [Math.ceil(seqLen / blockQ), Math.ceil(kvLen / blockK)]);
  if (keyPaddingMask !== undefined) checkFlags(fn, 'keyPaddingMask', keyPaddingMask, [batchSize, kvLen]);
  return {
    attrs: { ...attrs, softcap, blockQ, blockK },
    terms: {
      alibiSlopes, bias: keyPaddingMask === undefined ? bias : paddingBias(keyPaddingMask, bias),
      ...(blockMask && { blockMask: cast(blockMask, 'int32') }),
    },
  };
}

/** resolveScores — the same for the options that all functions share. */
export function resolveScores(
  fn: string, { batchSize, seqLen, kvLen, numHeads, headDim }: AttentionSizes,
  { scale = 1 / Math.sqrt(headDim), causal = false, window = [-1, -1], alibiSlopes, dropout = 0, train = false, seed }: ScoreOptions,
): { attrs: AttentionAttrs; alibiSlopes: Tensor | undefined } {
  checkPositive(fn, 'scale', scale);
  checkBoolean(fn, 'causal', causal);
  checkBoolean(fn, 'train', train);
  checkProbability(fn, 'dropout', dropout);
  if (!Array.isArray(window) || window.length !== 2) throw new ConfigError(`${fn}: window must be [left, right], got ${JSON.stringify(window)}`);
  const windowLeft = windowSide(fn, 'window[0]', window[0], kvLen);
  const windowRight = windowSide(fn, 'window[1]', window[1], seqLen);
  if (alibiSlopes !== undefined) checkSlopes(fn, alibiSlopes, batchSize, numHeads);
  const drops = train && dropout > 0;
  if (drops && seed === undefined) throw new ConfigError(`${fn}: seed must be given when dropout acts, got undefined`);
  return {
    attrs: { scale, causal, windowLeft, windowRight, dropout: drops ? dropout : 0, seed: drops ? (seed as Seed) : 0 },
    alibiSlopes: alibiSlopes && constant(alibiSlopes, `${fn}: alibiSlopes must be constants, got a request for their gradient. Use bias for a learned one.`),
  };
}

function checkSlopes(fn: string, slopes: Tensor, batchSize: number, numHeads: number): void {
  checkTensor(fn, 'alibiSlopes', slopes);
  checkDtype(fn, 'alibiSlopes', slopes, 'float32');
  checkShape(fn, 'alibiSlopes', slopes, slopes.shape.length === 2 ? [batchSize, numHeads] : [numHeads]);
}

function checkBias(fn: string, bias: Tensor, full: readonly number[]): void {
  checkTensor(fn, 'bias', bias);
  checkDtype(fn, 'bias', bias, 'float32');
  checkRank(fn, 'bias', bias, 4);
  if (bias.shape.every((size, axis) => size === 1 || size === full[axis])) return;
  throw new ShapeError(`${fn}: bias must have shape ${describeShape(full)}, each axis full or 1, got ${describeShape(bias.shape)}`);
}

/** The bounds keep the cap and its inverse far from the ends of float32. */
function checkSoftcap(fn: string, softcap: number): void {
  if (softcap === 0 || (typeof softcap === 'number' && softcap >= 1e-6 && softcap <= 1e30)) return;
  throw new ConfigError(`${fn}: softcap must be 0 (none) or between 1e-6 and 1e30, got ${String(softcap)}`);
}

function checkBlockSize(fn: string, blockSize: unknown): readonly [number, number] {
  if (!Array.isArray(blockSize) || blockSize.length !== 2) throw new ConfigError(`${fn}: blockSize must be [blockQ, blockK], got ${JSON.stringify(blockSize)}`);
  const [blockQ, blockK] = blockSize as [number, number];
  checkInteger(fn, 'blockSize[0]', blockQ);
  checkInteger(fn, 'blockSize[1]', blockK);
  return [blockQ, blockK];
}

/** `tokens`, cut to `furthest`, from where it hides nothing: kernels add positions to it in 32 bits. */
function windowSide(fn: string, arg: string, tokens: number, furthest: number): number {
  if (tokens === Infinity) return -1;
  if (!Number.isInteger(tokens) || tokens < -1) throw new ConfigError(`${fn}: ${arg} must be an integer ≥ -1, got ${String(tokens)}`);
  return Math.min(tokens, furthest);
}
