import { checkInteger, checkOneOf, checkPositive, checkRange, ConfigError, foldSeed, randomBits, uniformValues } from '@evenkeel/core-tensor';
import { resizeRgba, softenEdge } from './rgba.ts';
import type { Background, Foreground, Pixels } from './segment.ts';

const SIZE_MODES = ['range', 'min', 'max', 'mean'] as const;

export type RecombineOptions = {
  /** Between which areas the object's is drawn: those it had here and there (`range`, default), or both ends the smaller, the larger or their mean. */
  size?: (typeof SIZE_MODES)[number];
  /** Widens both ends by this share. Default 0.3. */
  jitter?: number;
  /** Factor of the area, for evaluation. Default 1. */
  sizeFactor?: number;
  /** 1: position uniform (default); n: mean of n uniform draws, nearer the middle; 0: in the middle; −n: nearer the borders. */
  bates?: number;
  /** Share of the object that may stand over the border. Default 0. */
  jutOut?: number;
  /** For evaluation: the object is a ninth as large and stands in this cell of a 3 × 3 grid, row by row from 0. Default: anywhere. */
  nonant?: number;
  /** Largest σ of the blur of its edge, in pixels; each is at least a tenth of it. Default 4, which suits images of 224 pixels; 0: none. */
  edgeSigma?: number;
  /** Cut an object that is too large in its middle rather than at random. Default false. */
  centerCrop?: boolean;
};

/** Recombined — `pixels: h w 3`; `mask: h w`: how opaque the object is there; `box`: where it was pasted; `area`: the share of the image that was aimed at. */
export type Recombined = Pixels & {
  readonly mask: Uint8Array; readonly label: number; readonly area: number;
  readonly box: { readonly top: number; readonly left: number; readonly height: number; readonly width: number };
};

/**
 * recombine — an object pasted onto a background, in a random size and place.
 *
 *     area s ~ U[(1 − jitter) · min(r_f, r_b), (1 + jitter) · max(r_f, r_b)] · sizeFactor
 *     width = √(W·H · s/a · w_f/h_f),  height = √(W·H · s/a · h_f/w_f)        a: mean opacity of the crop
 *
 * @param seed  decides everything random.
 * @throws ConfigError  if an option is out of range, or the object is wholly transparent.
 *
 * Source: arXiv:2503.09399, §3.2; formulas, order and constants as published with it.
 */
export function recombine(foreground: Foreground, background: Background, options: RecombineOptions, seed: number): Recombined {
  const { jutOut = 0, edgeSigma = 4, nonant, bates = 1, centerCrop = false } = options;
  checkOptions(options);
  const [height, width] = background.shape;
  const [ofArea, ofSigma, ofCropX, ofCropY] = uniformValues(4, foldSeed(seed, 'recombine')) as unknown as [number, number, number, number];
  const area = targetArea(foreground.ratio, background.ratio, options, ofArea);
  const scaled = scaledObject(foreground, (nonant === undefined ? 1 : 1 / 9) * height * width * area);
  const [cropX, cropY] = centerCrop ? [0.5, 0.5] : [ofCropX, ofCropY];
  const object = cropped(scaled, Math.min(scaled.shape[0], height), Math.min(scaled.shape[1], width), cropY, cropX);
  softenEdge(object, edgeSigma * (0.1 + 0.9 * ofSigma));
  const place = (axis: 'y' | 'x', size: number, length: number): number => {
    const cell = nonant === undefined ? undefined : axis === 'x' ? nonant % 3 : Math.floor(nonant / 3);
    const [low, high] = cell === undefined ? [-jutOut * length, size - (1 - jutOut) * length] : [(cell * size) / 3, ((cell + 1) * size) / 3 - length];
    const [from, to] = low > high ? [(low + high) / 2, (low + high) / 2] : [low, high];
    return Math.round(batesValue(bates, foldSeed(seed, axis)) * (to - from) + from);
  };
  const box = { top: place('y', height, object.shape[0]), left: place('x', width, object.shape[1]), height: object.shape[0], width: object.shape[1] };
  return { ...pasted(object, background, box), label: foreground.label, area, box };
}

function targetArea(ofObject: number, ofBackground: number, { size = 'range', jitter = 0.3, sizeFactor = 1 }: RecombineOptions, uniform: number): number {
  const [low, high] = [Math.min(ofObject, ofBackground), Math.max(ofObject, ofBackground)];
  const [from, to] = { range: [low, high], min: [low, low], max: [high, high], mean: [(low + high) / 2, (low + high) / 2] }[size] as [number, number];
  return ((1 - jitter) * from + uniform * ((1 + jitter) * to - (1 - jitter) * from)) * sizeFactor;
}

/** The object in the size in which its opaque area is that many pixels. */
function scaledObject({ shape, pixels }: Foreground, areaInPixels: number): Pixels {
  const [tall, wide] = shape;
  let opacity = 0;
  for (let i = 3; i < pixels.length; i += 4) opacity += (pixels[i] as number) / 255;
  if (opacity === 0) throw new ConfigError('recombine: foreground must have an opaque pixel, got none');
  const crop = (areaInPixels * tall * wide) / opacity;
  const size = (ratio: number): number => Math.max(1, Math.round(Math.sqrt(crop * ratio)));
  return resizeRgba({ shape, pixels }, size(tall / wide), size(wide / tall));
}

function cropped(image: Pixels, tall: number, wide: number, ofY: number, ofX: number): Pixels {
  const [height, width] = image.shape;
  const [top, left] = [Math.floor(ofY * (height - tall + 1)), Math.floor(ofX * (width - wide + 1))];
  const pixels = new Uint8Array(tall * wide * 4);
  for (let y = 0; y < tall; y++) pixels.set(image.pixels.subarray(((top + y) * width + left) * 4, ((top + y) * width + left + wide) * 4), y * wide * 4);
  return { shape: [tall, wide, 4], pixels };
}

/** A number from 0 to 1: the mean of n uniform ones; below 0 that of |n|, moved by a half, so that the middle lands at the borders. */
function batesValue(n: number, seed: number): number {
  if (n === 0) return 0.5;
  const count = Math.abs(n);
  const mean = randomBits(seed, count).reduce((sum, bits) => sum + bits / (2 ** 32 - 1), 0) / count;
  return n > 0 ? mean : (mean + 0.5) % 1;
}

function pasted(object: Pixels, { shape: [height, width], pixels }: Background, { top, left }: Recombined['box']): Pixels & { mask: Uint8Array } {
  const [image, mask] = [pixels.slice(), new Uint8Array(height * width)];
  const [tall, wide] = object.shape;
  for (let y = Math.max(0, -top); y < Math.min(tall, height - top); y++) for (let x = Math.max(0, -left); x < Math.min(wide, width - left); x++) {
    const [from, to] = [(y * wide + x) * 4, (top + y) * width + left + x];
    const alpha = object.pixels[from + 3] as number;
    for (let c = 0; c < 3; c++) image[3 * to + c] = Math.round((alpha * (object.pixels[from + c] as number) + (255 - alpha) * (image[3 * to + c] as number)) / 255);
    mask[to] = alpha;
  }
  return { shape: [height, width, 3], pixels: image, mask };
}

function checkOptions({ size = 'range', jitter = 0.3, sizeFactor = 1, bates = 1, jutOut = 0, nonant, edgeSigma = 4 }: RecombineOptions): void {
  checkOneOf('recombine', 'size', size, SIZE_MODES);
  checkRange('recombine', 'jitter', jitter, 0, 1);
  checkPositive('recombine', 'sizeFactor', sizeFactor);
  checkInteger('recombine', 'bates', bates, -Number.MAX_SAFE_INTEGER);
  checkRange('recombine', 'jutOut', jutOut, 0, 1);
  if (nonant !== undefined) checkRange('recombine', 'nonant', nonant, 0, 8);
  checkRange('recombine', 'edgeSigma', edgeSigma, 0, Number.MAX_VALUE);
}
