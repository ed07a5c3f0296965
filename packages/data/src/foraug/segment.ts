import { checkInteger, ConfigError } from '@evenkeel/core-tensor';

/** Pixels — one image: bytes `h w c`. */
export type Pixels = { readonly shape: readonly [height: number, width: number, channels: number]; readonly pixels: Uint8Array };

/** Foreground — an object cut out: `pixels: h w 4`, the last channel being how opaque each is; its class; `ratio`: its area by that of the image it is from. */
export type Foreground = Pixels & { readonly label: number; readonly ratio: number };

/** Background — an image without its object, whose area it was had `ratio` of the image's; and the class of that object. */
export type Background = Pixels & { readonly label: number; readonly ratio: number };

/**
 * segment — an image cut into its object and what is behind it, by a mask.
 *
 * The object is the smallest crop that holds the mask. Where it was, the background is filled from the border of the mask inwards, each
 * pixel with the mean of its neighbours that are known.
 *
 * @param image  bytes `h w 3`.
 * @param mask   `h w`, 0 to 255: how much each pixel belongs to the object; above 0 it is filled in the background.
 * @param label  the object's class.
 * @throws ConfigError  if sizes disagree, or the mask is empty or covers everything.
 *
 * Source: arXiv:2503.09399, §3.1. Departs from the paper: masks are given, not detected, and the filling knows no generative model.
 */
export function segment({ shape, pixels }: Pixels, mask: Uint8Array, label: number): { foreground: Foreground; background: Background } {
  const [height, width, channels] = shape;
  if (channels !== 3 || pixels.length !== height * width * 3) throw new ConfigError(`segment: image must have ${height} · ${width} · 3 values, got ${pixels.length} for the shape [${shape.join(', ')}]`);
  if (mask.length !== height * width) throw new ConfigError(`segment: mask must have ${height} · ${width} values, got ${mask.length}`);
  checkInteger('segment', 'label', label, 0);
  const box = boxOf(mask, width);
  if (box === undefined) throw new ConfigError('segment: mask must hold an object, got only zeros');
  if (mask.every((value) => value > 0)) throw new ConfigError('segment: mask must leave some background, got none');
  const ratio = mask.reduce((sum, value) => sum + value, 0) / (255 * height * width);
  const [tall, wide] = [box.bottom - box.top, box.right - box.left];
  const cut = new Uint8Array(tall * wide * 4);
  for (let y = 0; y < tall; y++) for (let x = 0; x < wide; x++) {
    const from = (y + box.top) * width + x + box.left;
    cut.set(pixels.subarray(from * 3, from * 3 + 3), (y * wide + x) * 4);
    cut[(y * wide + x) * 4 + 3] = mask[from] as number;
  }
  return {
    foreground: { shape: [tall, wide, 4], pixels: cut, label, ratio },
    background: { shape: [height, width, 3], pixels: filled(pixels, mask, width), label, ratio },
  };
}

function boxOf(mask: Uint8Array, width: number): { top: number; bottom: number; left: number; right: number } | undefined {
  const box = { top: Infinity, bottom: 0, left: Infinity, right: 0 };
  mask.forEach((value, i) => {
    if (value === 0) return;
    const [y, x] = [Math.floor(i / width), i % width];
    Object.assign(box, { top: Math.min(box.top, y), bottom: Math.max(box.bottom, y + 1), left: Math.min(box.left, x), right: Math.max(box.right, x + 1) });
  });
  return box.bottom === 0 ? undefined : box;
}

function filled(pixels: Uint8Array, mask: Uint8Array, width: number): Uint8Array {
  const result = pixels.slice();
  const known = Uint8Array.from(mask, (value) => (value === 0 ? 1 : 0));
  for (let missing = [...known.keys()].filter((i) => known[i] === 0); missing.length > 0;) {
    const ring = missing.map((i) => ({ i, near: neighbours(i, width, known.length).filter((other) => known[other] === 1) })).filter(({ near }) => near.length > 0);
    for (const { i, near } of ring) for (let c = 0; c < 3; c++) result[3 * i + c] = Math.round(near.reduce((sum, other) => sum + (result[3 * other + c] as number), 0) / near.length);
    for (const { i } of ring) known[i] = 1;
    missing = missing.filter((i) => known[i] === 0);
  }
  return result;
}

function neighbours(i: number, width: number, count: number): number[] {
  const x = i % width;
  return [...(x > 0 ? [i - 1] : []), ...(x < width - 1 ? [i + 1] : []), i - width, i + width].filter((other) => other >= 0 && other < count);
}
