import { crc32, deflateSync } from 'node:zlib';

/** Pixels — bytes `h w c` of one image, grey or in colour. */
export type Pixels = { readonly pixels: Uint8Array; readonly shape: readonly [height: number, width: number, channels: number] };

const SIGNATURE = Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a);
const [GREY, COLOUR] = [0, 2];

/** pngDataUri — an image as a PNG within a page, made smaller by whole factors until its longer side is at most `longest` pixels. */
export function pngDataUri(image: Pixels, longest = 96): string {
  const { pixels, shape: [height, width, channels] } = smaller(image, longest);
  const head = Buffer.alloc(13);
  head.writeUInt32BE(width, 0);
  head.writeUInt32BE(height, 4);
  head.set([8, channels === 1 ? GREY : COLOUR, 0, 0, 0], 8);
  const rows = Buffer.alloc(height * (width * channels + 1)); // each row begins with its filter: none
  for (let y = 0; y < height; y++) rows.set(pixels.subarray(y * width * channels, (y + 1) * width * channels), y * (width * channels + 1) + 1);
  const file = Buffer.concat([SIGNATURE, chunk('IHDR', head), chunk('IDAT', deflateSync(rows, { level: 9 })), chunk('IEND', Buffer.alloc(0))]);
  return `data:image/png;base64,${file.toString('base64')}`;
}

function chunk(type: string, data: Uint8Array): Buffer {
  const body = Buffer.concat([Buffer.from(type, 'latin1'), data]);
  const [length, check] = [Buffer.alloc(4), Buffer.alloc(4)];
  length.writeUInt32BE(data.length);
  check.writeUInt32BE(crc32(body));
  return Buffer.concat([length, body, check]);
}

/** The means of squares of pixels. */
function smaller(image: Pixels, longest: number): Pixels {
  const { pixels, shape: [height, width, channels] } = image;
  const factor = Math.ceil(Math.max(height, width) / longest);
  if (factor === 1) return image;
  const shape = [Math.floor(height / factor), Math.floor(width / factor), channels] as const;
  const means = Uint8Array.from({ length: shape[0] * shape[1] * channels }, (_, i) => {
    const [c, x, y] = [i % channels, Math.floor(i / channels) % shape[1], Math.floor(i / (channels * shape[1]))];
    let sum = 0;
    for (let dy = 0; dy < factor; dy++) for (let dx = 0; dx < factor; dx++) sum += pixels[((y * factor + dy) * width + x * factor + dx) * channels + c] as number;
    return Math.round(sum / factor ** 2);
  });
  return { pixels: means, shape };
}
