import { dispose, type Tensor } from '@tensorflow/tfjs-core';
import { bertInputs, padBatch, type HeadedParams, type TokenSequence } from '@evenkeel/models-bert';
import type { AnyBert } from '../bert/bertModel.ts';
import { classified, type Classified } from '../classified.ts';

/** TextModel — an encoder with its values as they are now. */
export type TextModel = { readonly model: AnyBert; readonly params: HeadedParams; readonly padId: number };

/** classifyTexts — what a model with a head for classes makes of sequences, in their order; those of like length are computed together. */
export async function classifyTexts({ model, params, padId }: TextModel, sequences: readonly TokenSequence[], batchSize: number): Promise<Classified> {
  const order = sequences.map((_, i) => i).sort((i, j) => (sequences[i] as TokenSequence).ids.length - (sequences[j] as TokenSequence).ids.length);
  async function* logits(): AsyncGenerator<Tensor> {
    for (let start = 0; start < order.length; start += batchSize) {
      const inputs = bertInputs(padBatch(order.slice(start, start + batchSize).map((i) => sequences[i] as TokenSequence), { padId }));
      try {
        yield model.apply(inputs, params) as Tensor;
      } finally {
        dispose(inputs as never);
      }
    }
  }
  return unsorted(await classified(logits()), order);
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
