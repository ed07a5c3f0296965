/** The operations that RandAugment draws from: each changes an image `h w c` with values from 0 to 1, at a level from 0 to 1. */

/** ImageSize — rows, columns and channels. */
export type ImageSize = readonly [height: number, width: number, channels: number];

/** ImageOperation — `level` says how strongly, `sign` (1 or −1) in which direction, where there are two. */
export type ImageOperation = (image: Float32Array, size: ImageSize, level: number, sign: number) => Float32Array;

/** IMAGE_OPERATIONS — by name, with the strengths that timm gives them at its largest magnitude. */
export const IMAGE_OPERATIONS = {
  autoContrast: (image, size) => perChannel(image, size, (values) => {
    let [low, high] = [Infinity, -Infinity];
    for (const value of values) [low, high] = [Math.min(low, value), Math.max(high, value)];
    return high > low ? (value) => (value - low) / (high - low) : (value) => value;
  }),
  equalize: (image, size) => perChannel(image, size, equalizer),
  invert: (image) => image.map((value) => 1 - value),
  rotate: (image, size, level, sign) => {
    const angle = (sign * level * 30 * Math.PI) / 180;
    const [cos, sin] = [Math.cos(angle), Math.sin(angle)];
    return affine(image, size, [cos, -sin, 0, sin, cos, 0]);
  },
  posterize: (image, _, level) => {
    const steps = 2 ** Math.max(1, 8 - Math.floor(4 + 4 * level)); // 4 bits down to 1
    return image.map((value) => Math.min(Math.floor(value * steps), steps - 1) / steps);
  },
  solarize: (image, _, level) => image.map((value) => (value >= 1 - level ? 1 - value : value)),
  color: (image, size, level, sign) => blend(greyOf(image, size), image, enhanced(level, sign)),
  contrast: (image, size, level, sign) => {
    const grey = greyOf(image, size);
    const mean = grey.reduce((sum, value) => sum + value, 0) / grey.length;
    return blend(grey.fill(mean), image, enhanced(level, sign));
  },
  brightness: (image, _, level, sign) => blend(new Float32Array(image.length), image, enhanced(level, sign)),
  sharpness: (image, size, level, sign) => blend(smoothed(image, size), image, enhanced(level, sign)),
  shearX: (image, size, level, sign) => affine(image, size, [1, 0.3 * level * sign, 0, 0, 1, 0]),
  shearY: (image, size, level, sign) => affine(image, size, [1, 0, 0, 0.3 * level * sign, 1, 0]),
  translateX: (image, size, level, sign) => affine(image, size, [1, 0, 0.45 * level * sign * size[1], 0, 1, 0]),
  translateY: (image, size, level, sign) => affine(image, size, [1, 0, 0, 0, 1, 0.45 * level * sign * size[0]]),
} as const satisfies Record<string, ImageOperation>;

export type ImageOperationName = keyof typeof IMAGE_OPERATIONS;

/** What stands where the image does not reach. */
const OUTSIDE = 0.5;

/** How far beyond the original, or short of it, an enhancement goes. */
const enhanced = (level: number, sign: number): number => 1 + 0.9 * level * sign;

/** from + factor · (to − from), kept between 0 and 1. */
const blend = (from: Float32Array, to: Float32Array, factor: number): Float32Array =>
  to.map((value, i) => Math.min(1, Math.max(0, (from[i] as number) + factor * (value - (from[i] as number)))));

function perChannel(image: Float32Array, [, , channels]: ImageSize, mapOf: (values: Float32Array) => (value: number) => number): Float32Array {
  const maps = Array.from({ length: channels }, (_, c) => mapOf(image.filter((_value, i) => i % channels === c)));
  return image.map((value, i) => (maps[i % channels] as (value: number) => number)(value));
}

/** The map that makes all of 256 levels about equally frequent: the share of values below, between the lowest and the highest that occur. */
function equalizer(values: Float32Array): (value: number) => number {
  const counts = new Float64Array(256);
  const levelOf = (value: number): number => Math.min(255, Math.max(0, Math.round(value * 255)));
  for (const value of values) counts[levelOf(value)] = (counts[levelOf(value)] as number) + 1;
  const first = counts.findIndex((count) => count > 0);
  const rest = values.length - (counts[first] as number);
  if (rest === 0) return (value) => value;
  let below = -(counts[first] as number);
  const shares = counts.map((count) => Math.max(0, (below += count)) / rest);
  return (value) => shares[levelOf(value)] as number;
}

/** Luminance in every channel; of images without three channels, their mean. */
function greyOf(image: Float32Array, [, , channels]: ImageSize): Float32Array {
  const weights = channels === 3 ? [0.299, 0.587, 0.114] : Array.from({ length: channels }, () => 1 / channels);
  const grey = new Float32Array(image.length);
  for (let start = 0; start < image.length; start += channels) {
    const value = weights.reduce((sum, weight, c) => sum + weight * (image[start + c] as number), 0);
    grey.fill(value, start, start + channels);
  }
  return grey;
}

/** A 3 × 3 mean in which the middle counts 5 times; the border stays. */
function smoothed(image: Float32Array, [height, width, channels]: ImageSize): Float32Array {
  const smooth = image.slice();
  for (let y = 1; y < height - 1; y++) for (let x = 1; x < width - 1; x++) for (let c = 0; c < channels; c++) {
    let sum = 4 * (image[(y * width + x) * channels + c] as number);
    for (let dy = -1; dy <= 1; dy++) for (let dx = -1; dx <= 1; dx++) sum += image[((y + dy) * width + x + dx) * channels + c] as number;
    smooth[(y * width + x) * channels + c] = sum / 13;
  }
  return smooth;
}

/** The image at (a·x + b·y + c, d·x + e·y + f) for each pixel (x, y), both from the middle; bilinear. */
function affine(image: Float32Array, [height, width, channels]: ImageSize, [a, b, c, d, e, f]: readonly [number, number, number, number, number, number]): Float32Array {
  const result = new Float32Array(image.length);
  const [midX, midY] = [(width - 1) / 2, (height - 1) / 2];
  const at = (y: number, x: number, channel: number): number => (y < 0 || y >= height || x < 0 || x >= width ? OUTSIDE : (image[(y * width + x) * channels + channel] as number));
  for (let y = 0; y < height; y++) for (let x = 0; x < width; x++) {
    const [sx, sy] = [a * (x - midX) + b * (y - midY) + c + midX, d * (x - midX) + e * (y - midY) + f + midY];
    const [x0, y0] = [Math.floor(sx), Math.floor(sy)];
    const [fx, fy] = [sx - x0, sy - y0];
    for (let channel = 0; channel < channels; channel++) {
      const top = fx === 0 ? at(y0, x0, channel) : (1 - fx) * at(y0, x0, channel) + fx * at(y0, x0 + 1, channel);
      const bottom = fy === 0 ? top : fx === 0 ? at(y0 + 1, x0, channel) : (1 - fx) * at(y0 + 1, x0, channel) + fx * at(y0 + 1, x0 + 1, channel);
      result[(y * width + x) * channels + channel] = (1 - fy) * top + fy * bottom;
    }
  }
  return result;
}
