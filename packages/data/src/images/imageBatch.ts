import { checkInteger, ConfigError, foldSeed } from '@evenkeel/core-tensor';

/** ImageShape — how many images, and the rows, columns and channels of each. */
export type ImageShape = readonly [count: number, height: number, width: number, channels: number];

/** LabelledImages — `images`: bytes `b h w c`, 0 to 255; `labels`: the class of each, from 0; what `readCifar10` gives. */
export type LabelledImages = { readonly shape: ImageShape; readonly images: Uint8Array; readonly labels: ArrayLike<number>; readonly classes?: readonly string[] };

/** ImageBatch — `images: b h w c`, float32, from 0 to 1 until `normaliseImages`; `targets: b n`, how probable each of n classes is. */
export type ImageBatch = { readonly shape: ImageShape; readonly images: Float32Array; readonly targets: Float32Array; readonly numClasses: number };

/** Augmentation — a batch made of another, which stays as it is; everything random in it follows from the seed. */
export type Augmentation = (batch: ImageBatch, seed: number) => ImageBatch;

/**
 * imageBatch — bytes and labels as a batch: values from 0 to 1, targets 1 for the label and 0 for all others.
 *
 * @throws ConfigError  if sizes disagree, or a label is not below `numClasses`; names the image.
 */
export function imageBatch({ shape, images, labels }: LabelledImages, numClasses: number): ImageBatch {
  checkInteger('imageBatch', 'numClasses', numClasses);
  checkLabelled('imageBatch', { shape, images, labels }, numClasses);
  const targets = new Float32Array(shape[0] * numClasses);
  for (let i = 0; i < shape[0]; i++) targets[i * numClasses + (labels[i] as number)] = 1;
  const values = new Float32Array(images);
  for (let i = 0; i < values.length; i++) values[i] = (values[i] as number) / 255; // Float32Array.from with a function takes ten times as long
  return { shape, images: values, targets, numClasses };
}

/** checkLabelled — throws ConfigError unless there are as many values and labels as images, and each label is a class. */
export function checkLabelled(fn: string, { shape, images, labels }: LabelledImages, numClasses = Infinity): void {
  const size = shape.reduce((product, each) => product * each, 1);
  if (images.length !== size) throw new ConfigError(`${fn}: images must have ${size} values for the shape [${shape.join(', ')}], got ${images.length}`);
  if (labels.length !== shape[0]) throw new ConfigError(`${fn}: labels must be ${shape[0]}, one per image, got ${labels.length}`);
  for (let i = 0; i < labels.length; i++) {
    const label = labels[i] as number;
    if (!Number.isInteger(label) || label < 0 || label >= numClasses) throw new ConfigError(`${fn}: labels must be integers ${numClasses === Infinity ? 'of 0 or more' : `from 0 to ${numClasses - 1}`}, got ${label} for image ${i}`);
  }
}

/** augmentations — one after another as one; each draws from a seed of its own. */
export function augmentations(...steps: readonly Augmentation[]): Augmentation {
  return (batch, seed) => steps.reduce((current, step, i) => step(current, foldSeed(seed, 'augmentation', i)), batch);
}

/** eachImage — the batch with every image replaced by what `change` makes of a copy of it, in place or as another array. */
export function eachImage(batch: ImageBatch, change: (image: Float32Array, index: number) => Float32Array | void): ImageBatch {
  const [count, ...inside] = batch.shape;
  const size = inside.reduce((product, each) => product * each, 1);
  const images = batch.images.slice();
  for (let i = 0; i < count; i++) {
    const image = images.subarray(i * size, (i + 1) * size);
    const changed = change(image, i);
    if (changed !== undefined && changed !== image) image.set(changed);
  }
  return { ...batch, images };
}
