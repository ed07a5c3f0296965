import { ConfigError } from '@evenkeel/core-tensor';
import { nodeModules, onFile } from '../nodeFs.ts';
import { decodeImage } from './decodeImage.ts';
import type { ImageSource } from './imageSource.ts';

export type ImageFolderOptions = {
  /** Scale every image to this size. Default: all must have the size of the first. */
  height?: number;
  width?: number;
  /** Endings of the names of image files. Default png, jpg, jpeg and webp. */
  extensions?: readonly string[];
};

/**
 * imageFolder — a folder of images with one subfolder per class: `cats/1.png`, `dogs/2.jpg`. Images are decoded when they are read.
 *
 * Classes are the subfolders and images the files in them, both in the order of their names. Names that start with a dot are left out.
 *
 * @returns  a source with the classes' names, and `files`: the path of each image.
 * @throws ConfigError  if there is no such folder, or no subfolder with an image; when read, names the file that cannot be decoded or has another size.
 */
export async function imageFolder(
  folder: string, { height, width, extensions = ['.png', '.jpg', '.jpeg', '.webp'] }: ImageFolderOptions = {},
): Promise<ImageSource & { readonly files: readonly string[]; readonly classes: readonly string[] }> {
  const found = filesByClass(folder, extensions);
  if (found.length === 0) throw new ConfigError(`imageFolder: ${folder} must have subfolders with images (${extensions.join(', ')}), one per class, got none`);
  const files = found.flatMap(({ paths }) => paths);
  const given = height === undefined || width === undefined ? undefined : { height, width };
  const size = given ?? await decoded(files[0] as string);
  const shape = [size.height, size.width, 3] as const;
  return {
    shape, files,
    classes: found.map(({ name }) => name),
    labels: Uint32Array.from(found.flatMap(({ paths }, label) => paths.map(() => label))),
    read: async (indices) => {
      const bytes = new Uint8Array(indices.length * shape[0] * shape[1] * 3);
      await Promise.all(Array.from(indices, async (index, i) => {
        const file = files[index] as string;
        const image = await decoded(file, given);
        if (image.height !== shape[0] || image.width !== shape[1]) {
          throw new ConfigError(`imageFolder: ${file} must have ${shape[0]} × ${shape[1]} pixels like ${files[0]}, got ${image.height} × ${image.width}. Give height and width to scale all.`);
        }
        bytes.set(image.pixels, i * image.pixels.length);
      }));
      return bytes;
    },
  };
}

async function decoded(file: string, size: { height: number; width: number } | undefined = undefined): ReturnType<typeof decodeImage> {
  const { fs } = nodeModules('imageFolder');
  const bytes = onFile('imageFolder', file, 'a readable file', () => fs.readFileSync(file));
  return decodeImage(bytes, { ...size, name: file });
}

function filesByClass(folder: string, extensions: readonly string[]): { name: string; paths: string[] }[] {
  const { fs, path } = nodeModules('imageFolder');
  const inOrder = (directory: string) => onFile('imageFolder', directory, 'a readable folder', () => fs.readdirSync(directory, { withFileTypes: true }))
    .filter(({ name }) => !name.startsWith('.')).sort((a, b) => (a.name < b.name ? -1 : 1));
  return inOrder(folder).filter((each) => each.isDirectory()).flatMap(({ name }) => {
    const paths = inOrder(path.join(folder, name)).filter((file) => file.isFile() && extensions.includes(path.extname(file.name).toLowerCase())).map((file) => path.join(folder, name, file.name));
    return paths.length === 0 ? [] : [{ name, paths }];
  });
}
