import type { ImageSource } from './imageSource.ts';

/** selectImages — a source of some of the images of another: `selectImages(source, longTailedIndices(…))`. */
export function selectImages(source: ImageSource, indices: ArrayLike<number>): ImageSource {
  return {
    ...source,
    labels: Uint32Array.from(indices, (index) => source.labels[index] as number),
    read: (chosen) => source.read(Uint32Array.from(chosen, (index) => indices[index] as number)),
  };
}
