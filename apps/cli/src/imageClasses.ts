import { tensor4d, type Tensor, type Tensor4D } from '@tensorflow/tfjs-core';
import type { ApplyOptions, Params } from '@evenkeel/core-tensor';
import { imageBatch, normaliseImages, type ImageSource, type NormaliseOptions } from '@evenkeel/data';
import type { Vit, VitParams } from '@evenkeel/models-vit';
import { classified, judged, type Classified, type Judged } from './classified.ts';

/** ImageModel — a vision transformer with its values as they are now, and how the images that it is given are normalised. */
export type ImageModel = { readonly model: Vit; readonly params: Params & VitParams; readonly state?: ApplyOptions['state']; readonly statistics: NormaliseOptions };

/** classifyImages — what a model makes of images, in order. */
export async function classifyImages({ model, params, state, statistics }: ImageModel, source: ImageSource, indices: ArrayLike<number>, batchSize: number): Promise<Classified> {
  const normalise = normaliseImages(statistics);
  async function* logits(): AsyncGenerator<Tensor> {
    for (let start = 0; start < indices.length; start += batchSize) {
      const chosen = Uint32Array.from({ length: Math.min(batchSize, indices.length - start) }, (_, i) => indices[start + i] as number);
      const bytes = await source.read(chosen);
      const { images, shape } = normalise(imageBatch({ shape: [chosen.length, ...source.shape], images: bytes, labels: new Uint8Array(chosen.length) }, 1), 0);
      const batch = tensor4d(images, [...shape]) as Tensor4D;
      try {
        yield model.apply(batch, params, { ...(state && { state }) });
      } finally {
        batch.dispose();
      }
    }
  }
  return classified(logits());
}

/** judgeImages — the same, beside the labels of the images. */
export async function judgeImages(of: ImageModel, source: ImageSource, indices: ArrayLike<number>, batchSize: number): Promise<Judged> {
  return judged(await classifyImages(of, source, indices, batchSize), Array.from(indices, (index) => source.labels[index] as number));
}
