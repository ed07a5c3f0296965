/** Shape4 — of images, `b h w c`, or a filter, `h w c o`. */
export type Shape4 = [number, number, number, number];

type ConvolutionForm = {
  readonly x: (n: number) => Shape4;
  readonly filter: (n: number) => Shape4; readonly strides?: number | [number, number]; readonly pad?: 'same' | 'valid' | number | number[][]; readonly dilations?: number; readonly large?: number;
};

/** CONVOLUTIONS — images and filters of size `n`, by what is special about them; `large`: the size for the tests of threads. */
export const CONVOLUTIONS: Record<string, ConvolutionForm> = {
  'of 3 × 3': { x: (n) => [2, 5, n, 3], filter: () => [3, 3, 3, 4], pad: 'same', large: 4100 },
  'of several images': { x: (n) => [n, 4, 5, 3], filter: () => [3, 3, 3, 8], pad: 'same' },
  'of many channels': { x: (n) => [1, 4, 5, n], filter: (n) => [2, 3, n, n + 1], large: 130 },
  'with strides': { x: (n) => [2, 7, n + 2, 5], filter: () => [2, 3, 5, 1], strides: [3, 2] },
  'with strides and padding': { x: (n) => [2, 6, n + 1, 2], filter: () => [3, 5, 2, 9], strides: 2, pad: 'same' },
  'with strides longer than the filter': { x: (n) => [3, n + 2, 7, 6], filter: () => [1, 2, 6, 3], strides: 3 },
  'with padding by a number': { x: (n) => [2, 3, n + 1, 4], filter: () => [2, 2, 4, 6], pad: 2 },
  'with a padding for each side': { x: (n) => [2, 3, n + 1, 1], filter: () => [2, 3, 1, 7], strides: 2, pad: [[0, 0], [1, 0], [0, 3], [0, 0]] },
  'of 1 × 1': { x: (n) => [2, 3, n, 5], filter: () => [1, 1, 5, 6] },
  'of 1 × 1 with strides': { x: (n) => [2, 3, n, 5], filter: () => [1, 1, 5, 6], strides: 2, pad: 'same' },
  'with dilation': { x: (n) => [2, 6, n, 3], filter: () => [2, 3, 3, 4], pad: 'same', dilations: 2 },
};
