// Convolution of images (NHWC) as a matrix product: each output pixel's surroundings become a row, and rows are added back into an image.
import { intArg, pointerArg } from './args';
import { addRow } from './reduce';

/** From this many floats on, a copy is worth the call of memory.copy. */
const LONG: i32 = 64;

/**
 * im2col — a chunk of rows; row p holds, per filter place (y, x), the channels of the input pixel there, zeros outside the image.
 * args: 0 image, 1 rows, 2 first output pixel (over batch, y, x), 3 pixels, 4 pixels per chunk, 5 input height, 6 input width, 7 channels,
 * 8 output height, 9 output width, 10 filter height, 11 filter width, 12 stride down, 13 stride right, 14 zeros above, 15 zeros to the
 * left, 16 dilation down, 17 dilation right.
 */
export function im2col(chunk: i32, args: usize, scratch: usize): void {
  const first = intArg(args, 2), perChunk = intArg(args, 4), height = intArg(args, 5), width = intArg(args, 6), channels = intArg(args, 7);
  const outHeight = intArg(args, 8), outWidth = intArg(args, 9), filterHeight = intArg(args, 10), filterWidth = intArg(args, 11);
  const down = intArg(args, 12), right = intArg(args, 13), top = intArg(args, 14), left = intArg(args, 15);
  const dilationDown = intArg(args, 16), dilationRight = intArg(args, 17);
  const lineBytes = (<usize>width * <usize>channels) << 2, rowBytes = (<usize>filterWidth * <usize>channels) << 2;
  const begin = chunk * perChunk;
  const end = min(begin + perChunk, intArg(args, 3));
  let to = pointerArg(args, 1) + <usize>begin * <usize>filterHeight * rowBytes;
  for (let pixel = first + begin; pixel < first + end; pixel++) {
    const line = pixel / outWidth;
    const x = (pixel % outWidth) * right - left;
    const image = pointerArg(args, 0) + <usize>(line / outHeight) * <usize>height * lineBytes;
    let y = (line % outHeight) * down - top;
    for (let row = 0; row < filterHeight; row++, y += dilationDown, to += rowBytes) {
      if (y < 0 || y >= height) memory.fill(to, 0, rowBytes);
      else copyPlaces(image + <usize>y * lineBytes, to, x, width, channels, filterWidth, dilationRight);
    }
  }
}

/** copyPlaces — one row of the filter: the pixels x, x + dilation, … of an image's line of `width` pixels. */
function copyPlaces(line: usize, to: usize, x: i32, width: i32, channels: i32, places: i32, dilation: i32): void {
  if (dilation == 1) {
    const before = min(max(-x, 0), places), inside = max(min(width - x, places) - before, 0);
    zero(to, before * channels);
    to += <usize>(before * channels) << 2;
    copy(line + (<usize>((x + before) * channels) << 2), to, inside * channels);
    zero(to + (<usize>(inside * channels) << 2), (places - before - inside) * channels);
    return;
  }
  for (let place = 0; place < places; place++, x += dilation, to += <usize>channels << 2) {
    if (x < 0 || x >= width) zero(to, channels);
    else copy(line + (<usize>(x * channels) << 2), to, channels);
  }
}

function zero(to: usize, count: i32): void {
  for (; count > 0; count--, to += 4) store<f32>(to, 0);
}

function copy(from: usize, to: usize, count: i32): void {
  if (count >= LONG) {
    memory.copy(to, from, <usize>count << 2);
    return;
  }
  for (; count >= 4; count -= 4, from += 16, to += 16) v128.store(to, v128.load(from));
  for (; count > 0; count--, from += 4, to += 4) store<f32>(to, load<f32>(from));
}

/**
 * col2im — adds rows as `im2col` makes them, of dilation 1, to the pixels they stand for. A chunk is a block of lines of the images, so
 * every pixel is summed by one thread, in the order of filter places. args: as im2col up to 15, with 2 the first output pixel of the rows,
 * 3 how many, 4 lines per chunk; 16 first image, 17 lines.
 */
export function col2im(chunk: i32, args: usize, scratch: usize): void {
  const perChunk = intArg(args, 4), height = intArg(args, 5), channels = intArg(args, 7), outHeight = intArg(args, 8), outWidth = intArg(args, 9);
  const filterHeight = intArg(args, 10), down = intArg(args, 12), top = intArg(args, 14);
  const lineBytes = (<usize>intArg(args, 6) * <usize>channels) << 2;
  const firstLine = intArg(args, 16) * height;
  const end = min((chunk + 1) * perChunk, intArg(args, 17));
  for (let line = firstLine + chunk * perChunk; line < firstLine + end; line++) {
    const image = line / height;
    for (let row = 0; row < filterHeight; row++) {
      const y = line % height + top - row;
      if (y < 0 || y % down != 0 || y / down >= outHeight) continue;
      addLine(pointerArg(args, 0) + <usize>line * lineBytes, args, (image * outHeight + y / down) * outWidth, row);
    }
  }
}

/** addLine — to a line of the image, what one row of the filter has on the line of output pixels that begins with `start`. */
function addLine(to: usize, args: usize, start: i32, row: i32): void {
  const first = intArg(args, 2), width = intArg(args, 6), channels = intArg(args, 7), places = intArg(args, 11), right = intArg(args, 13), left = intArg(args, 15);
  const stride = (<usize>intArg(args, 10) * <usize>places * <usize>channels) << 2;
  const begin = max(first - start, 0), end = min(first + intArg(args, 3) - start, intArg(args, 9));
  for (let place = 0; place < places; place++) {
    let x = begin * right - left + place;
    let from = pointerArg(args, 1) + <usize>(start + begin - first) * stride + (<usize>((row * places + place) * channels) << 2);
    for (let pixel = begin; pixel < end; pixel++, x += right, from += stride) {
      if (x < 0 || x >= width) continue;
      const at = to + (<usize>(x * channels) << 2);
      addRow(at, at, from, channels);
    }
  }
}
