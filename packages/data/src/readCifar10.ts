import { checkOneOf, ConfigError } from '@evenkeel/core-tensor';
import { unpacked, type BinarySource } from './binaryFile.ts';

/** CIFAR10_CLASSES — what the labels 0 to 9 mean. */
export const CIFAR10_CLASSES = ['airplane', 'automobile', 'bird', 'cat', 'deer', 'dog', 'frog', 'horse', 'ship', 'truck'] as const;

export type Cifar10Options = {
  /** `last` (default): images are `b 32 32 3`, as tfjs convolves them. `first`: `b 3 32 32`, as the file has them. */
  channels?: 'first' | 'last';
};

/** Cifar10 — `images`: bytes, 0 to 255, of `shape`; `labels`: one per image, 0 to 9. */
export type Cifar10 = { readonly shape: [count: number, number, number, number]; readonly images: Uint8Array; readonly labels: Uint8Array };

const PIXELS = 32 * 32;
const RECORD = 1 + 3 * PIXELS;

/**
 * readCifar10 — images and labels of a file of CIFAR-10's binary version, packed with gzip or not: `data_batch_1.bin`, `test_batch.bin`, or
 * a part of one.
 *
 * The file: for each image one byte of label, then 1024 bytes each of red, green and blue, row by row.
 *
 * @param source  path of a file, or its bytes: those of `dataset('cifar10-train-10k')`.
 * @throws ConfigError  if it is no whole number of images, or a label is above 9.
 *
 * Source: Krizhevsky 2009, "Learning multiple layers of features from tiny images".
 */
export async function readCifar10(source: BinarySource, { channels = 'last' }: Cifar10Options = {}): Promise<Cifar10> {
  checkOneOf('readCifar10', 'channels', channels, ['first', 'last']);
  const { name, bytes } = await unpacked('readCifar10', source);
  if (bytes.length === 0 || bytes.length % RECORD !== 0) {
    throw new ConfigError(`readCifar10: ${name} must have a multiple of ${RECORD} bytes, 3072 per image and its label, got ${bytes.length}. Is it truncated, or the Python version?`);
  }
  const count = bytes.length / RECORD;
  const images = new Uint8Array(count * 3 * PIXELS);
  const labels = Uint8Array.from({ length: count }, (_, i) => bytes[i * RECORD] as number);
  const stray = labels.findIndex((label) => label > 9);
  if (stray >= 0) throw new ConfigError(`readCifar10: ${name} must have labels of at most 9, got ${labels[stray]} for image ${stray}. Is it CIFAR-100?`);
  for (let i = 0; i < count; i++) {
    const planes = bytes.subarray(i * RECORD + 1, (i + 1) * RECORD);
    const start = i * 3 * PIXELS;
    if (channels === 'first') images.set(planes, start);
    else for (let c = 0; c < 3; c++) for (let p = 0; p < PIXELS; p++) images[start + 3 * p + c] = planes[c * PIXELS + p] as number;
  }
  return { shape: channels === 'first' ? [count, 3, 32, 32] : [count, 32, 32, 3], images, labels };
}
