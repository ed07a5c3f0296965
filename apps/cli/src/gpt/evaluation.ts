import { dispose, tensor2d, type Tensor } from '@tensorflow/tfjs-core';
import type { Tree } from '@evenkeel/core-tensor';
import { sequentialBatches, type Batch, type Tokens } from '@evenkeel/data';
import type { Gpt, GptParams } from '@evenkeel/models-gpt';
import { spread } from '../statistics.ts';

/** MeanLoss — mean cross-entropy in nats over `tokens` targets. */
export type MeanLoss = { readonly loss: number; readonly tokens: number };

/**
 * evaluationBatches — the tokens in windows that do not overlap, so that every token but the first is a target once.
 *
 * @param maxTokens  about so many targets at most, in batches spread evenly from the beginning to the end. Default: all.
 * @returns          the same batches at every call; none for fewer than 2 tokens.
 */
export function evaluationBatches(
  tokens: Tokens, { contextLength, batchSize, maxTokens = Infinity }: { contextLength: number; batchSize: number; maxTokens?: number },
): Batch[] {
  if (tokens.length < 2) return [];
  const all = sequentialBatches(tokens, { contextLength, batchSize });
  return spread(all.length, Math.ceil(maxTokens / (contextLength * batchSize))).map((i) => all.batch(i));
}

/** tensorsOf — a batch as tensors, which are the caller's. */
export function tensorsOf({ inputs, targets, shape: [rows, length] }: Batch) {
  return { inputs: tensor2d(inputs, [rows, length], 'int32'), targets: tensor2d(targets, [rows, length], 'int32') };
}

/**
 * meanLossOf — mean next-token cross-entropy of a model over all targets of some batches, without dropout.
 *
 * @param state  its untrained values, where it has any.
 * @returns  the loss in nats, summed in float64 in the order of the batches, and the number of targets; NaN over none.
 */
export async function meanLossOf(model: Gpt, params: GptParams, batches: Iterable<Batch>, state?: Tree<Tensor>): Promise<MeanLoss> {
  let sum = 0;
  let tokens = 0;
  for (const batch of batches) {
    sum += batch.targets.length * await lossOf(model, params, batch, state);
    tokens += batch.targets.length;
  }
  return { loss: sum / tokens, tokens };
}

async function lossOf(model: Gpt, params: GptParams, batch: Batch, state: Tree<Tensor> | undefined): Promise<number> {
  const tensors = tensorsOf(batch);
  try {
    const loss = model.loss(tensors, params, { state });
    const [value] = await loss.data();
    loss.dispose();
    return value as number;
  } finally {
    dispose(tensors);
  }
}
