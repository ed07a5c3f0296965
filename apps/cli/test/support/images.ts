import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pngDataUri } from '../../src/pngImage.ts';

/** What the images of each class are about as bright in, channel by channel. */
const COLOURS = [[220, 40, 40], [40, 220, 40], [40, 40, 220]] as const;

/** colouredImage — `size × size` pixels of the colour of a class, each a little different. */
export function colouredImage(label: number, index: number, size: number): Uint8Array {
  return Uint8Array.from({ length: size * size * 3 }, (_, i) => (COLOURS[label % 3] as readonly number[])[i % 3] as number + ((i * 7 + index * 13) % 31));
}

/** cifarBytes — images of three classes in turn, in the binary form of CIFAR-10. */
export function cifarBytes(count: number, labelOf: (index: number) => number = (index) => index % 3): Uint8Array {
  const records = Array.from({ length: count }, (_, index) => {
    const pixels = colouredImage(index % 3, index, 32);
    return [labelOf(index), ...[0, 1, 2].flatMap((c) => Array.from({ length: 1024 }, (__, p) => pixels[3 * p + c] as number))];
  });
  return Uint8Array.from(records.flat());
}

/** imageFolders — a folder with `count` PNG files for each class by its name. */
export function imageFolders(path: string, classes: readonly string[], { count = 4, size = 8 }: { count?: number; size?: number } = {}): string {
  classes.forEach((name, label) => {
    mkdirSync(join(path, name), { recursive: true });
    for (let i = 0; i < count; i++) writeFileSync(join(path, name, `${i}.png`), pngFile(colouredImage(label, i, size), size));
  });
  return path;
}

/** pngFile — the bytes of a PNG. */
export function pngFile(pixels: Uint8Array, size: number): Buffer {
  return Buffer.from(pngDataUri({ pixels, shape: [size, size, 3] }, size).split(',')[1] as string, 'base64');
}
