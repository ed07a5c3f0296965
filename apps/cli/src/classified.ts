import type { Tensor } from '@tensorflow/tfjs-core';
import { ConfigError } from '@evenkeel/core-tensor';

/** Classified — what a model made of some examples, in order; `probabilities: n k`. */
export type Classified = {
  readonly numClasses: number;
  readonly predicted: Int32Array;
  readonly probabilities: Float32Array;
  /** How probable the predicted class is. */
  readonly confidence: Float32Array;
};

/** Judged — examples whose labels are known. `loss` is the mean cross-entropy in nats. */
export type Judged = Classified & { readonly labels: Int32Array; readonly loss: number };

/**
 * classified — the classes that batches of logits `b k` say; the tensors are freed.
 *
 * @throws ConfigError  if a logit is not finite.
 */
export async function classified(batches: AsyncIterable<Tensor>): Promise<Classified> {
  const [predicted, probabilities, confidence]: [number[], number[], number[]] = [[], [], []];
  let numClasses = 0;
  for await (const logits of batches) {
    const values = await logits.data();
    logits.dispose();
    numClasses = logits.shape.at(-1) as number;
    checkFinite(values);
    for (let start = 0; start < values.length; start += numClasses) {
      const row = softmax(values.subarray(start, start + numClasses));
      const best = row.reduce((at, value, i) => (value > (row[at] as number) ? i : at), 0);
      predicted.push(best);
      confidence.push(row[best] as number);
      probabilities.push(...row);
    }
  }
  return { numClasses, predicted: Int32Array.from(predicted), probabilities: Float32Array.from(probabilities), confidence: Float32Array.from(confidence) };
}

/** checkFinite — throws ConfigError unless what a model says are numbers. */
export function checkFinite(logits: ArrayLike<number>): void {
  const stray = Array.from(logits).find((each) => !Number.isFinite(each));
  if (stray !== undefined) throw new ConfigError(`the model must give finite logits, got ${stray}. Are its weights damaged?`);
}

/** judged — the same beside their labels. */
export function judged(found: Classified, labels: ArrayLike<number>): Judged {
  const { numClasses, probabilities } = found;
  const losses = Array.from(labels, (label, i) => -Math.log(Math.max(probabilities[i * numClasses + label] as number, Number.MIN_VALUE)));
  return { ...found, labels: Int32Array.from(labels), loss: losses.reduce((sum, each) => sum + each, 0) / losses.length };
}

/** worstFirst — the order in which to show examples: mistakes before what was right, each from the surest on. */
export function worstFirst({ predicted, labels, confidence }: Judged): number[] {
  const isRight = (i: number): number => Number(predicted[i] === labels[i]);
  return Array.from(labels, (_, i) => i).sort((i, j) => isRight(i) - isRight(j) || (confidence[j] as number) - (confidence[i] as number));
}

/** softmax — logits as probabilities. */
export function softmax(logits: ArrayLike<number>): number[] {
  const largest = Array.from(logits).reduce((most, each) => Math.max(most, each), -Infinity);
  const weights = Array.from(logits, (each) => Math.exp(each - largest));
  const sum = weights.reduce((total, each) => total + each, 0);
  return weights.map((each) => each / sum);
}
