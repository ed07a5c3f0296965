import { ConfigError } from '@evenkeel/core-tensor';
import type { IdxArray } from '../readIdx.ts';
import { checkLabelled, type LabelledImages } from './imageBatch.ts';

/** ImageSource — images of one size to be read as they are needed, with the class of each. */
export type ImageSource = {
  readonly shape: readonly [height: number, width: number, channels: number];
  /** The class of each image, from 0; as many as there are images. */
  readonly labels: ArrayLike<number>;
  readonly classes?: readonly string[];
  /** The bytes of these images one after another, each `h w c`. */
  read(indices: ArrayLike<number>): Uint8Array | Promise<Uint8Array>;
};

/**
 * imageSource — images in memory as a source: what `readCifar10` and `imagesFromIdx` give.
 *
 * @throws ConfigError  if sizes disagree or a label is no integer ≥ 0.
 */
export function imageSource(images: LabelledImages): ImageSource {
  checkLabelled('imageSource', images);
  const [, height, width, channels] = images.shape;
  const size = height * width * channels;
  return {
    shape: [height, width, channels],
    labels: images.labels,
    ...(images.classes && { classes: images.classes }),
    read: (indices) => {
      const bytes = new Uint8Array(indices.length * size);
      for (let i = 0; i < indices.length; i++) bytes.set(images.images.subarray((indices[i] as number) * size, ((indices[i] as number) + 1) * size), i * size);
      return bytes;
    },
  };
}

/**
 * imagesFromIdx — two IDX files, of images `b h w` (grey) or `b h w c` and of labels `b`, as `readIdx` gives them: MNIST and its relatives.
 *
 * @throws ConfigError  if they are not bytes, or not of such shapes.
 */
export function imagesFromIdx(images: IdxArray, labels: IdxArray): LabelledImages {
  if (!(images.values instanceof Uint8Array) || images.shape.length < 3 || images.shape.length > 4) {
    throw new ConfigError(`imagesFromIdx: images must be bytes of 3 or 4 axes, got ${images.values.constructor.name} of shape [${images.shape.join(', ')}]`);
  }
  if (!(labels.values instanceof Uint8Array) || labels.shape.length !== 1) {
    throw new ConfigError(`imagesFromIdx: labels must be bytes of one axis, got ${labels.values.constructor.name} of shape [${labels.shape.join(', ')}]`);
  }
  const [count, height, width, channels = 1] = images.shape as [number, number, number, number?];
  const all: LabelledImages = { shape: [count, height, width, channels], images: images.values, labels: labels.values };
  checkLabelled('imagesFromIdx', all);
  return all;
}
