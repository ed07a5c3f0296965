import type { Pixels } from './segment.ts';

/** resizeRgba — bytes `h w 4` in another size, by a cubic filter that covers what it shrinks (a = −0.5); colours weighted by how opaque they are. */
export function resizeRgba({ shape: [height, width], pixels }: Pixels, tall: number, wide: number): Pixels {
  const [down, across] = [filterOf(height, tall), filterOf(width, wide)];
  const weighted = new Float64Array(pixels.length);
  for (let i = 0; i < pixels.length; i += 4) {
    const alpha = (pixels[i + 3] as number) / 255;
    for (let c = 0; c < 3; c++) weighted[i + c] = (pixels[i + c] as number) * alpha;
    weighted[i + 3] = pixels[i + 3] as number;
  }
  const narrow = new Float64Array(height * wide * 4);
  for (let y = 0; y < height; y++) across.forEach(({ first, weights }, x) => weights.forEach((weight, k) => {
    for (let c = 0; c < 4; c++) narrow[(y * wide + x) * 4 + c] = (narrow[(y * wide + x) * 4 + c] as number) + weight * (weighted[(y * width + first + k) * 4 + c] as number);
  }));
  const small = new Float64Array(tall * wide * 4);
  down.forEach(({ first, weights }, y) => weights.forEach((weight, k) => {
    for (let i = 0; i < wide * 4; i++) small[y * wide * 4 + i] = (small[y * wide * 4 + i] as number) + weight * (narrow[(first + k) * wide * 4 + i] as number);
  }));
  const result = new Uint8ClampedArray(tall * wide * 4);
  for (let i = 0; i < small.length; i += 4) {
    const alpha = Math.min(255, Math.max(0, small[i + 3] as number));
    for (let c = 0; c < 3; c++) result[i + c] = alpha === 0 ? 0 : ((small[i + c] as number) * 255) / alpha;
    result[i + 3] = alpha;
  }
  return { shape: [tall, wide, 4], pixels: new Uint8Array(result.buffer) };
}

/** For each target the sources that it is made of. */
function filterOf(from: number, to: number): { first: number; weights: number[] }[] {
  const scale = Math.max(1, from / to);
  return Array.from({ length: to }, (_, i) => {
    const middle = ((i + 0.5) * from) / to;
    const [first, end] = [Math.max(0, Math.round(middle - 2 * scale)), Math.min(from, Math.round(middle + 2 * scale))];
    const weights = Array.from({ length: end - first }, (_each, k) => cubic(Math.abs(first + k + 0.5 - middle) / scale));
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    return { first, weights: weights.map((weight) => weight / total) };
  });
}

function cubic(distance: number): number {
  if (distance >= 2) return 0;
  return distance < 1 ? (1.5 * distance - 2.5) * distance * distance + 1 : ((-0.5 * distance + 2.5) * distance - 4) * distance + 2;
}

/**
 * softenEdge — opacity blurred by a Gaussian and cut back to its inner half: 2α − 255 where the blurred α is above 128, else 0. In place.
 *
 * @param sigma  in pixels; 0 leaves all as it is.
 */
export function softenEdge({ shape: [height, width], pixels }: Pixels, sigma: number): void {
  if (sigma === 0) return;
  const radius = Math.ceil(3 * sigma);
  const kernel = Array.from({ length: 2 * radius + 1 }, (_, i) => Math.exp(-((i - radius) ** 2) / (2 * sigma * sigma)));
  const total = kernel.reduce((sum, weight) => sum + weight, 0);
  const alpha = Float64Array.from({ length: height * width }, (_, i) => pixels[4 * i + 3] as number);
  const along = (values: Float64Array, length: number, stride: number): Float64Array => values.map((_, i) => {
    const at = Math.floor(i / stride) % length;
    return kernel.reduce((sum, weight, k) => sum + weight * (values[i + (Math.min(Math.max(at + k - radius, 0), length - 1) - at) * stride] as number), 0) / total;
  });
  along(along(alpha, width, 1), height, width).forEach((value, i) => { pixels[4 * i + 3] = value > 128 ? Math.round(2 * value - 255) : 0; });
}
