import { checkInteger, ConfigError, UnsupportedError } from '@evenkeel/core-tensor';

/** DecodedImage — bytes `h w 3`, red, green and blue. */
export type DecodedImage = { readonly height: number; readonly width: number; readonly pixels: Uint8Array };

export type DecodeOptions = {
  /** Scale to this size, filling it and cutting off what stands over. Default: as it is. */
  height?: number;
  width?: number;
  /** What errors call the image. */
  name?: string;
};

/**
 * decodeImage — the pixels of a PNG, JPEG or other image file. Transparency is left out; photographs are turned upright, as their EXIF data say.
 *
 * In Node the package `sharp` decodes, which must be installed beside this one; in browsers `createImageBitmap`.
 *
 * @param bytes    the file's content.
 * @throws ConfigError       if it is no image, or only one of `height` and `width` is given.
 * @throws UnsupportedError  if there is nothing to decode with.
 */
export async function decodeImage(bytes: Uint8Array | Blob, { height, width, name = 'the image' }: DecodeOptions = {}): Promise<DecodedImage> {
  if ((height === undefined) !== (width === undefined)) throw new ConfigError(`decodeImage: height and width must be given together, got ${height} and ${width}`);
  if (height !== undefined) checkInteger('decodeImage', 'height', height);
  if (width !== undefined) checkInteger('decodeImage', 'width', width);
  const size = height === undefined || width === undefined ? undefined : { height, width };
  return typeof createImageBitmap === 'function' && typeof OffscreenCanvas === 'function' ? decodedByBrowser(bytes, size, name) : decodedBySharp(bytes, size, name);
}

type Size = { height: number; width: number };

async function decodedByBrowser(bytes: Uint8Array | Blob, size: Size | undefined, name: string): Promise<DecodedImage> {
  const bitmap = await createImageBitmap(bytes instanceof Blob ? bytes : new Blob([bytes as Uint8Array<ArrayBuffer>])).catch((error: unknown) => { throw unreadable(name, error); });
  const { height, width } = size ?? bitmap;
  const scale = Math.max(height / bitmap.height, width / bitmap.width);
  const context = new OffscreenCanvas(width, height).getContext('2d') as OffscreenCanvasRenderingContext2D;
  const [tall, wide] = [bitmap.height * scale, bitmap.width * scale];
  context.drawImage(bitmap, (width - wide) / 2, (height - tall) / 2, wide, tall);
  bitmap.close();
  const { data } = context.getImageData(0, 0, width, height); // h w 4
  return { height, width, pixels: new Uint8Array(height * width * 3).map((_, i) => data[Math.floor(i / 3) * 4 + (i % 3)] as number) };
}

/** What is used of `sharp`. */
type Sharp = (bytes: Uint8Array) => {
  rotate(): ReturnType<Sharp>;
  resize(options: Size & { fit: 'cover' }): ReturnType<Sharp>;
  removeAlpha(): ReturnType<Sharp>;
  toColourspace(space: 'srgb'): ReturnType<Sharp>;
  raw(): { toBuffer(options: { resolveWithObject: true }): Promise<{ data: Uint8Array; info: Size & { channels: number } }> };
};

async function decodedBySharp(bytes: Uint8Array | Blob, size: Size | undefined, name: string): Promise<DecodedImage> {
  const sharp = await loadSharp();
  const content = bytes instanceof Blob ? new Uint8Array(await bytes.arrayBuffer()) : bytes;
  try {
    const upright = sharp(content).rotate(); // as its EXIF data say, which browsers do by themselves
    const scaled = size === undefined ? upright : upright.resize({ ...size, fit: 'cover' });
    const { data, info } = await scaled.removeAlpha().toColourspace('srgb').raw().toBuffer({ resolveWithObject: true });
    const pixels = info.channels === 3 ? new Uint8Array(data) : new Uint8Array(info.height * info.width * 3).map((_, i) => data[Math.floor(i / 3) * info.channels] as number);
    return { height: info.height, width: info.width, pixels };
  } catch (error) {
    throw unreadable(name, error);
  }
}

async function loadSharp(): Promise<Sharp> {
  const library = 'sharp'; // not a literal, so that bundlers for browsers do not look for it
  try {
    return ((await import(/* @vite-ignore */ library)) as { default: Sharp }).default;
  } catch (error) {
    throw new UnsupportedError('decodeImage: needs the package sharp to decode images in Node, got none. Install it: npm install sharp', { cause: error });
  }
}

const unreadable = (name: string, cause: unknown): ConfigError =>
  new ConfigError(`decodeImage: ${name} must be an image that can be decoded, such as PNG or JPEG, got ${String((cause as Error).message ?? cause).split('\n')[0]}`, { cause });
