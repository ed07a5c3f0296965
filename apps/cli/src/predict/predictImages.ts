import { readdirSync, readFileSync, statSync } from 'node:fs';
import { extname, join } from 'node:path';
import { decodeImage, openImages, type ImageSource } from '@evenkeel/data';
import { channelNotes, withChannels } from '../channels.ts';
import { UsageError } from '../errors.ts';
import { classifyImages } from '../imageClasses.ts';
import type { Predictor } from './openPredictor.ts';
import { ofClasses, type Predicted } from './prediction.ts';
import { scoreOf } from './scoreOf.ts';

type ImagePredictor = Extract<Predictor, { reads: 'image' }>;

export type Pictures = { readonly image?: readonly string[]; readonly data?: string; readonly batchSize: number; readonly top: number };

/** predictImages — classes of image files, of those in a folder, or of labelled images in any form that can be trained on. */
export async function predictImages({ model, params, statistics, classes }: ImagePredictor, { image, data, batchSize, top }: Pictures): Promise<Predicted> {
  const { imageSize: size, channels } = model.config;
  const files = data === undefined ? image ?? [] : filesIn(data);
  const { source, names, labels = [] } = data === undefined || files.length > 0 ? fromFiles(files, size) : await fromData(data, size);
  const matched = withChannels(source, channels);
  const found = await classifyImages({ model, params, statistics }, matched, names.map((_, i) => i), batchSize);
  const predictions = ofClasses(found, names, classes, top);
  const { notes, score } = scoreOf(predictions, labels, classes);
  return { predictions, cut: 0, notes: [...(files.length > 0 ? [] : channelNotes(source, channels)), ...notes], ...(score && { score: { accuracy: score['accuracy'] as number } }) };
}

/** Images, what people call them, and their classes where they are known. */
type Found = { readonly source: ImageSource; readonly names: readonly string[]; readonly labels?: readonly string[] };

async function fromData(path: string, size: number): Promise<Found> {
  const source = await openImages(path, { height: size, width: size });
  return { source, names: Array.from(source.labels, (_, i) => source.nameOf(i)), labels: Array.from(source.labels, (label) => source.classes?.[label] ?? String(label)) };
}

function fromFiles(files: readonly string[], size: number): Found {
  if (files.length === 0) throw new UsageError('predict needs --image or --data for a model of images, got neither');
  const folder = files.find((file) => statSync(file, { throwIfNoEntry: false })?.isDirectory());
  if (folder !== undefined) throw new UsageError(`--image must be files, got the folder ${folder}; --data takes one`);
  const read = async (indices: ArrayLike<number>): Promise<Uint8Array> => {
    const decoded = await Promise.all(Array.from(indices, (index) => decodeImage(readFileSync(files[index] as string), { height: size, width: size, name: files[index] as string })));
    return Uint8Array.from(Buffer.concat(decoded.map(({ pixels }) => pixels)));
  };
  return { source: { shape: [size, size, 3], labels: new Uint8Array(files.length), read }, names: files };
}

/** The images of a folder without subfolders. */
function filesIn(path: string): string[] {
  const entries = statSync(path, { throwIfNoEntry: false })?.isDirectory() ? readdirSync(path, { withFileTypes: true }).filter(({ name }) => !name.startsWith('.')) : [];
  if (entries.some((entry) => entry.isDirectory())) return [];
  return entries.map(({ name }) => name).filter((name) => /^\.(png|jpe?g|webp)$/i.test(extname(name))).sort().map((name) => join(path, name));
}
