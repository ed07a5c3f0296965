import { readFileSync } from 'node:fs';
import { decodeImage, imageSource, openImages, type ImageSource } from '@evenkeel/data';
import { channelNotes, withChannels } from '../channels.ts';
import { UsageError } from '../errors.ts';
import { classifyImages } from '../imageClasses.ts';
import type { Predictor } from './openPredictor.ts';
import { ofClasses, type Prediction } from './prediction.ts';

type ImagePredictor = Extract<Predictor, { reads: 'image' }>;

export type Pictures = { readonly image?: readonly string[]; readonly data?: string; readonly batchSize: number; readonly top: number };

/** predictImages — classes of image files, or of labelled images in any form that can be trained on. */
export async function predictImages({ model, params, statistics, classes }: ImagePredictor, { image, data, batchSize, top }: Pictures): Promise<{ predictions: Prediction[]; notes: string[] }> {
  const { imageSize: size, channels } = model.config;
  const { source, names } = data === undefined ? await fromFiles(image ?? [], size) : await fromData(data, size);
  const matched = withChannels(source, channels);
  const found = await classifyImages({ model, params, statistics }, matched, names.map((_, i) => i), batchSize);
  return { predictions: ofClasses(found, names, classes, top), notes: data === undefined ? [] : channelNotes(source, channels) };
}

async function fromData(path: string, size: number): Promise<{ source: ImageSource; names: readonly string[] }> {
  const source = await openImages(path, { height: size, width: size });
  return { source, names: Array.from(source.labels, (_, i) => source.nameOf(i)) };
}

async function fromFiles(files: readonly string[], size: number): Promise<{ source: ImageSource; names: readonly string[] }> {
  if (files.length === 0) throw new UsageError('predict needs --image or --data for a model of images, got neither');
  const decoded = await Promise.all(files.map((file) => decodeImage(readFileSync(file), { height: size, width: size, name: file })));
  const images = new Uint8Array(files.length * size * size * 3);
  decoded.forEach(({ pixels }, i) => images.set(pixels, i * pixels.length));
  return { source: imageSource({ shape: [files.length, size, size, 3], images, labels: new Uint8Array(files.length) }), names: files };
}
