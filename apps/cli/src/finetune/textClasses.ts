import { dispose, type Tensor } from '@tensorflow/tfjs-core';
import { bertInputs, padBatch, type HeadedParams, type TokenSequence } from '@evenkeel/models-bert';
import type { AnyBert } from '../bert/bertModel.ts';
import { checkFinite, classified, type Classified } from '../classified.ts';

/** TextModel — an encoder with its values as they are now. */
export type TextModel = { readonly model: AnyBert; readonly params: HeadedParams; readonly padId: number };

/** classifyTexts — what a model with a head for classes makes of sequences, in their order; those of like length are computed together. */
export async function classifyTexts({ model, params, padId }: TextModel, sequences: readonly TokenSequence[], batchSize: number): Promise<Classified> {
  const order = byLength(sequences);
  return unsorted(await classified(outputs({ model, params, padId }, order.map((i) => sequences[i] as TokenSequence), batchSize)), order);
}

/** scoreTexts — the number that a model with a head for one says of each sequence; those of like length are computed together. */
export async function scoreTexts(of: TextModel, sequences: readonly TokenSequence[], batchSize: number): Promise<Float32Array> {
  const [order, scores] = [byLength(sequences), new Float32Array(sequences.length)];
  let place = 0;
  for await (const output of outputs(of, order.map((i) => sequences[i] as TokenSequence), batchSize)) {
    const values = await output.data();
    output.dispose();
    checkFinite(values);
    for (const value of values) scores[order[place++] as number] = value;
  }
  return scores;
}

const byLength = (sequences: readonly TokenSequence[]): number[] =>
  sequences.map((_, i) => i).sort((i, j) => (sequences[i] as TokenSequence).ids.length - (sequences[j] as TokenSequence).ids.length);

/** What a model makes of sequences, batch by batch; each tensor is the caller's. */
async function* outputs({ model, params, padId }: TextModel, sequences: readonly TokenSequence[], batchSize: number): AsyncGenerator<Tensor> {
  for (let start = 0; start < sequences.length; start += batchSize) {
    const inputs = bertInputs(padBatch(sequences.slice(start, start + batchSize), { padId }));
    try {
      yield model.apply(inputs, params) as Tensor;
    } finally {
      dispose(inputs as never);
    }
  }
}

/** As it was before it was sorted. */
function unsorted({ numClasses, predicted, probabilities, confidence }: Classified, order: readonly number[]): Classified {
  const [ids, all, sure] = [new Int32Array(order.length), new Float32Array(order.length * numClasses), new Float32Array(order.length)];
  order.forEach((index, place) => {
    ids[index] = predicted[place] as number;
    sure[index] = confidence[place] as number;
    all.set(probabilities.subarray(place * numClasses, (place + 1) * numClasses), index * numClasses);
  });
  return { numClasses, predicted: ids, probabilities: all, confidence: sure };
}
