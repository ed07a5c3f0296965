import { existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { dataset, openImages, selectImages, type ImageSource, type OpenedImages } from '@evenkeel/data';
import { drawnSplit } from '../drawnSplit.ts';
import { UsageError } from '../errors.ts';
import type { VitSettings } from './vitSettings.ts';

/** SplitImages — images to train on and to validate with, of the same classes. */
export type SplitImages = {
  /** Where they came from, for people. */
  readonly name: string;
  readonly train: ImageSource;
  readonly val: ImageSource;
  readonly classes: readonly string[];
  /** Which images they are: a run only goes on with the same. */
  readonly fingerprint: string;
};

export type ImagePlace = Pick<VitSettings, 'data' | 'valData' | 'valFraction' | 'seed'> & {
  /** Scale all images to squares of this size; default: as they are. */
  readonly size?: number;
};

/** MNIST — how the default images are called on screen. */
const MNIST = "MNIST's test set";

/**
 * openSplit — the images of a run: those for validation are in a place of their own, in a folder beside `train`, or drawn from the others.
 *
 * @throws UsageError, ConfigError  naming the file, folder or image that is wrong.
 */
export async function openSplit({ data, valData, valFraction, seed, size }: ImagePlace): Promise<SplitImages> {
  const scaled = size === undefined ? {} : { height: size, width: size };
  const { path, valPath } = placesOf(data ?? await mnist(), valData);
  const all = await openImages(path, scaled);
  const classes = all.classes ?? Array.from({ length: largest(all.labels) + 1 }, (_, i) => String(i));
  const name = data === null ? MNIST : path;
  if (classes.length < 2) throw new UsageError(`--data must have images of two classes or more, got ${classes.length === 1 ? `${classes[0]} alone` : 'none'} in ${path}`);
  if (valPath !== null) {
    const [height, width] = all.shape;
    const other = await openImages(valPath, { ...(all.kind === 'folder' && { height, width }), ...scaled });
    const val = withClasses(other, classes, valPath);
    if (String(val.shape) !== String(all.shape)) throw new UsageError(`--val-data must have images of ${shapeOf(all)} like ${path}, got ${shapeOf(val)} in ${valPath}`);
    return { name, train: all, val, classes, fingerprint: `${all.fingerprint} ${other.fingerprint}` };
  }
  const drawn = drawnSplit(all.labels.length, 'images', { valFraction, seed });
  return { name, train: selectImages(all, drawn.train), val: selectImages(all, drawn.val), classes, fingerprint: all.fingerprint };
}

/** checkSame — throws UsageError unless images are those with which a run was begun. */
export function checkSame({ fingerprint, name }: SplitImages, facts: { readonly fingerprint?: unknown }): void {
  if (fingerprint !== facts.fingerprint) throw new UsageError(`--resume must find the images with which the run was begun, got others in ${name}`);
}

const shapeOf = ({ shape: [height, width, channels] }: ImageSource): string => `${height} × ${width} pixels, ${channels} channel${channels === 1 ? '' : 's'}`;

const VALIDATION = ['val', 'valid', 'validation', 'test'];

/** A folder may hold a folder `train`, and one for validation beside it. */
function placesOf(data: string, valData: string | null): { path: string; valPath: string | null } {
  const isFolder = (path: string): boolean => statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
  if (!isFolder(join(data, 'train'))) return { path: data, valPath: valData };
  const beside = VALIDATION.map((name) => join(data, name)).find(isFolder);
  return { path: join(data, 'train'), valPath: valData ?? beside ?? null };
}

async function mnist(): Promise<string> {
  const [{ path }, labels] = [await dataset('mnist-t10k-images'), await dataset('mnist-t10k-labels')];
  if (!existsSync(labels.path)) throw new UsageError(`--data must be given, got no labels of MNIST at ${labels.path}`);
  return path;
}

/** The images with labels that mean the same as those of the training images. */
function withClasses(source: OpenedImages, classes: readonly string[], path: string): OpenedImages {
  const own = source.kind === 'folder' ? source.classes as readonly string[] : classes;
  const unknown = own.find((name) => !classes.includes(name));
  if (unknown !== undefined) throw new UsageError(`--val-data must have the classes of --data, ${shortList(classes)}, got ${unknown} in ${path}`);
  const labels = Uint32Array.from(source.labels, (label) => (source.kind === 'folder' ? classes.indexOf(own[label] as string) : label));
  const stray = labels.findIndex((label) => label >= classes.length);
  if (stray >= 0) throw new UsageError(`--val-data must have labels from 0 to ${classes.length - 1} like --data, got ${labels[stray]} for ${source.nameOf(stray)}`);
  return { ...source, labels, classes };
}

const shortList = (names: readonly string[]): string => (names.length <= 12 ? names.join(', ') : `${names.slice(0, 12).join(', ')}, …`);

const largest = (labels: ArrayLike<number>): number => Array.from(labels).reduce((most, label) => Math.max(most, label), 0);
