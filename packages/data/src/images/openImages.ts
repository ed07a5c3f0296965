import { ConfigError } from '@evenkeel/core-tensor';
import { nodeModules, onFile } from '../nodeFs.ts';
import { CIFAR10_CLASSES, readCifar10 } from '../readCifar10.ts';
import { readIdx } from '../readIdx.ts';
import { imageFolder } from './imageFolder.ts';
import { imagesFromIdx, imageSource, type ImageSource } from './imageSource.ts';
import { resizeImages } from './resizeImages.ts';

export type OpenImagesOptions = {
  /** Scale every image to this size. Default: as they are; those of a folder must then have one size. */
  height?: number;
  width?: number;
};

/** OpenedImages — a source that says what it was made of. */
export type OpenedImages = ImageSource & {
  readonly kind: 'folder' | 'cifar' | 'idx';
  /** What people call an image: its file, or its number in one. */
  readonly nameOf: (index: number) => string;
  /** Changes when images, labels or their order do: of a folder, by names and sizes of the files. */
  readonly fingerprint: string;
};

/**
 * openImages — labelled images by their path, whichever of the usual forms they have: a folder with a subfolder of PNG, JPEG or WebP per class;
 * CIFAR-10's binary version, a file or a folder of `data_batch_….bin`; an IDX file of images with that of the labels beside it, packed or not.
 *
 * @throws ConfigError  if there is nothing of the kind, labels are missing, or a file is damaged; names it.
 */
export async function openImages(path: string, { height, width }: OpenImagesOptions = {}): Promise<OpenedImages> {
  const { fs, path: paths } = nodeModules('openImages');
  const isFolder = onFile('openImages', path, 'a folder or a file of images', () => fs.statSync(path)).isDirectory();
  const size = height === undefined || width === undefined ? undefined : { height, width };
  const names = isFolder ? fs.readdirSync(path).sort() : [];
  const batches = names.filter((name) => /^data_batch.*\.bin(\.gz)?$/.test(name)).map((name) => paths.join(path, name));
  const opened = batches.length > 0 ? await fromCifar(batches)
    : isFolder ? await fromFolder(path, size)
    : /\.bin(\.gz)?$/.test(path) ? await fromCifar([path])
    : /idx|ubyte/.test(paths.basename(path)) ? await fromIdx(path)
    : undefined;
  if (opened === undefined) throw new ConfigError(`openImages: ${path} must be a folder with a subfolder of images per class, CIFAR-10's .bin, or an IDX file such as train-images-idx3-ubyte.gz, got another file`);
  return size === undefined ? opened : { ...opened, ...resizeImages(opened, size) };
}

async function fromFolder(path: string, size: { height: number; width: number } | undefined): Promise<OpenedImages> {
  const { fs } = nodeModules('openImages');
  const source = await imageFolder(path, size);
  const listed = source.files.map((file) => `${file.slice(path.length)} ${fs.statSync(file).size}`);
  return { ...source, kind: 'folder', nameOf: (index) => source.files[index] as string, fingerprint: digest([new TextEncoder().encode(listed.join('\n'))]) };
}

async function fromCifar(files: readonly string[]): Promise<OpenedImages> {
  const parts = await Promise.all(files.map((file) => readCifar10(file)));
  const counts = parts.map(({ labels }) => labels.length);
  const [images, labels] = [joined(parts.map((part) => part.images)), joined(parts.map((part) => part.labels))];
  const nameOf = (index: number): string => {
    let left = index;
    const at = counts.findIndex((count) => left < count || (left -= count, false));
    return `image ${left} of ${files[at]}`;
  };
  return { ...imageSource({ shape: [labels.length, 32, 32, 3], images, labels, classes: CIFAR10_CLASSES }), kind: 'cifar', nameOf, fingerprint: digest([images, labels]) };
}

async function fromIdx(path: string): Promise<OpenedImages> {
  const { fs, path: paths } = nodeModules('openImages');
  const name = paths.basename(path);
  const beside = name.replace('images', 'labels').replace('idx3', 'idx1').replace('idx4', 'idx1');
  const alike = [beside, beside.endsWith('.gz') ? beside.slice(0, -3) : `${beside}.gz`].map((each) => paths.join(paths.dirname(path), each));
  const labelFile = alike.find((file) => beside !== name && fs.existsSync(file));
  if (labelFile === undefined) throw new ConfigError(`openImages: ${path} must have a file of labels beside it, such as ${alike[0] === path ? 'train-labels-idx1-ubyte beside train-images-idx3-ubyte' : alike[0]}, got none`);
  const [images, labels] = [await readIdx(path), await readIdx(labelFile)];
  const both = imagesFromIdx(images, labels);
  return { ...imageSource(both), kind: 'idx', nameOf: (index) => `image ${index} of ${path}`, fingerprint: digest([both.images, labels.values as Uint8Array]) };
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** A fingerprint of some bytes one after another. */
function digest(parts: readonly Uint8Array[]): string {
  const hash = nodeModules('openImages').crypto.createHash('sha256');
  for (const part of parts) hash.update(part);
  return hash.digest('hex').slice(0, 32);
}
