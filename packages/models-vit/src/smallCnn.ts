import { checkDivisible, checkFunction, checkInteger, checkRank, checkShape, normal, partOptions, type ApplyOptions, type Layer, type LinearFactory, type Tree } from '@evenkeel/core-tensor';
import { linear, linearLayer, modelOfLayers, patchRows, silu, type LayeredModel } from '@evenkeel/layers';
import { concat, mean, pad, reshape, slice, tidy, type Tensor, type Tensor2D, type Tensor4D } from '@tensorflow/tfjs-core';
import { targetCrossEntropy } from './targetCrossEntropy.ts';
import type { VitBatch } from './vit.ts';

export type SmallCnnOptions = {
  /** Pixels along both sides; divisible by 2 as often as there are `widths`. */
  imageSize: number;
  numClasses: number;
  /** Default 3. */
  channels?: number;
  /** Channels after each convolution. Default [16, 32]. */
  widths?: readonly number[];
  /** Default `linearLayer()`; `cosineLayer()` for `ldamLoss`. */
  head?: LinearFactory;
};

export type SmallCnnParams = { readonly convolutions: readonly { readonly weight: Tensor; readonly bias: Tensor }[]; readonly head: Tree<Tensor> };

export type SmallCnn = LayeredModel<SmallCnnParams> & {
  /** Images `b h w channels` to logits `b n`. */
  apply(images: Tensor4D, params: SmallCnnParams, options?: ApplyOptions): Tensor2D;
  /** Mean cross-entropy in nats. */
  loss(batch: VitBatch, params: SmallCnnParams, options?: ApplyOptions): Tensor;
};

/**
 * smallCnn — a small convolutional network, to teach a vision transformer what is near what: 3 × 3 convolutions, each followed by SiLU and
 * means over 2 × 2 pixels, then a linear head. It has no batch statistics, so training and evaluation are the same.
 *
 * A convolution is a linear map of each pixel's 3 × 3 surroundings, in the order (y, x, channel): `weight: o (3 · 3 · c)`.
 *
 * @throws ConfigError  if a size does not fit.
 *
 * Source: stands for the ResNet teachers of Rangwani et al. 2024, arXiv:2404.02900, on small images.
 */
export function smallCnn({ imageSize, numClasses, channels = 3, widths = [16, 32], head = linearLayer() }: SmallCnnOptions): SmallCnn {
  for (const [name, value] of Object.entries({ imageSize, numClasses, channels })) checkInteger('smallCnn', name, value);
  widths.forEach((width) => checkInteger('smallCnn', 'widths', width));
  checkFunction('smallCnn', 'head', head, 'linearLayer()');
  checkDivisible('smallCnn', 'imageSize', imageSize, '2 per convolution', 2 ** widths.length);
  const side = imageSize / 2 ** widths.length;
  const layers = {
    convolutions: widths.map((width, i) => convolution(i === 0 ? channels : widths[i - 1] as number, width)),
    head: head(side * side * (widths.at(-1) ?? channels), numClasses, { role: 'head', outAxis: 'class', inAxis: 'features' }),
  };
  const apply: SmallCnn['apply'] = (images, params, call = {}) => tidy('smallCnn', () => {
    checkRank('smallCnn', 'images', images, 4);
    checkShape('smallCnn', 'images', images, [null, imageSize, imageSize, channels]);
    const last = layers.convolutions.reduce<Tensor>((x, layer, i) => halved(silu(layer.apply(x, params.convolutions[i] as Tree<Tensor>))), images);
    return layers.head.apply(reshape(last, [images.shape[0], -1]), params.head, partOptions(call, 'head')) as Tensor2D;
  });
  return Object.freeze({
    ...modelOfLayers<SmallCnnParams>(layers),
    apply,
    loss: ({ images, targets }, params, call = {}) => tidy('smallCnnLoss', () => targetCrossEntropy(apply(images, params, call), targets)),
  } satisfies SmallCnn);
}

function convolution(inDim: number, outDim: number): Layer {
  const map = linearLayer({ initialiser: normal({ std: Math.sqrt(2 / (9 * inDim)) }) })(9 * inDim, outDim, { role: 'embedding', outAxis: 'out', inAxis: 'in' });
  return { ...map, apply: (x, params) => linear(surroundings(x), params as { weight: Tensor; bias: Tensor }) };
}

/** `b h w c` to `b h w (3 · 3 · c)`: each pixel with those around it, zeros beyond the border. */
function surroundings(x: Tensor): Tensor {
  const [B, H, W, C] = x.shape as [number, number, number, number];
  const padded = pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]]);
  const shifts = [0, 1, 2].flatMap((down) => [0, 1, 2].map((right) => slice(padded, [0, down, right, 0], [B, H, W, C])));
  return concat(shifts, 3);
}

/** `b h w c` to `b h/2 w/2 c`: the mean of each 2 × 2 pixels. */
function halved(x: Tensor): Tensor {
  const [B, H, W, C] = x.shape as [number, number, number, number];
  return reshape(mean(reshape(patchRows(x, 2), [B * (H / 2) * (W / 2), 4, C]), 1), [B, H / 2, W / 2, C]);
}
