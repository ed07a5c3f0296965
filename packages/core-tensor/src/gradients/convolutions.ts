import { engine, pad, reshape, slice, type GradConfig, type NamedAttrMap, type Tensor } from '@tensorflow/tfjs-core';
import { attr, type Attrs } from './config.ts';

/** The three kernels of a convolution; each is linear in both of its inputs, so each gives the gradients of the other two. */
type Kernels = { readonly forward: string; readonly input: string; readonly filter: string };

const CONV: Kernels = { forward: 'Conv2D', input: 'Conv2DBackpropInput', filter: 'Conv2DBackpropFilter' };
const DEPTHWISE: Kernels = {
  forward: 'DepthwiseConv2dNative', input: 'DepthwiseConv2dNativeBackpropInput', filter: 'DepthwiseConv2dNativeBackpropFilter',
};

const run = (kernelName: string, inputs: Record<string, Tensor>, attrs: Record<string, unknown>): Tensor =>
  engine().runKernel(kernelName, inputs, attrs as NamedAttrMap) as Tensor;

/** Attributes that all three kernels share. */
const common = (attrs: Attrs): Record<string, unknown> => ({
  strides: attrs['strides'], pad: attrs['pad'], dataFormat: attrs['dataFormat'] ?? 'NHWC', dimRoundingMode: attrs['dimRoundingMode'], dilations: [1, 1],
});

function dilationsOf(attrs: Attrs): [number, number] {
  const dilations = attr<number | [number, number] | undefined>(attrs, 'dilations') ?? 1;
  return typeof dilations === 'number' ? [dilations, dilations] : dilations;
}

/** A filter `h w i o` with `gap − 1` zeros between its taps: a dilated convolution is a plain one with this filter. */
function dilate(filter: Tensor, gaps: readonly [number, number]): Tensor {
  return gaps.reduce<Tensor>((x, gap, axis) => {
    if (gap === 1) return x;
    const [taps, inner] = [x.shape[axis] as number, x.shape.slice(axis + 1).reduce((product, size) => product * size, 1)];
    const gapped = pad(reshape(x, [x.size / inner, 1, inner]), [[0, 0], [0, gap - 1], [0, 0]]);
    const whole = reshape(gapped, x.shape.map((size, i) => (i === axis ? taps * gap : size)));
    return slice(whole, [0, 0, 0, 0], x.shape.map((size, i) => (i === axis ? (taps - 1) * gap + 1 : size)));
  }, filter);
}

/** The gradient of `dilate`: only the taps. */
function undilate(dFilter: Tensor, gaps: readonly [number, number]): Tensor {
  return gaps.reduce<Tensor>((x, gap, axis) => {
    if (gap === 1) return x;
    const [length, inner] = [x.shape[axis] as number, x.shape.slice(axis + 1).reduce((product, size) => product * size, 1)];
    const taps = (length - 1) / gap + 1;
    const whole = pad(x, x.shape.map((_, i): [number, number] => (i === axis ? [0, gap - 1] : [0, 0])));
    const first = slice(reshape(whole, [whole.size / (gap * inner), gap, inner]), [0, 0, 0], [-1, 1, -1]);
    return reshape(first, x.shape.map((size, i) => (i === axis ? taps : size)));
  }, dFilter);
}

function gradientsOf({ forward, input, filter }: Kernels): GradConfig[] {
  return [
    {
      kernelName: forward,
      inputsToSave: ['x', 'filter'],
      gradFunc: (dy, saved, attrs) => {
        const [x, weights] = saved as [Tensor, Tensor];
        const gaps = dilationsOf(attrs);
        const dilated = dilate(weights, gaps);
        return {
          x: () => run(input, { dy: dy as Tensor, filter: dilated }, { ...common(attrs), inputShape: x.shape }),
          filter: () => undilate(run(filter, { x, dy: dy as Tensor }, { ...common(attrs), filterShape: dilated.shape }), gaps),
        };
      },
    },
    {
      kernelName: input,
      inputsToSave: ['dy', 'filter'],
      gradFunc: (dx, saved, attrs) => {
        const [dy, weights] = saved as [Tensor, Tensor];
        return {
          dy: () => run(forward, { x: dx as Tensor, filter: weights }, common(attrs)),
          filter: () => run(filter, { x: dx as Tensor, dy }, { ...common(attrs), filterShape: weights.shape }),
        };
      },
    },
    {
      kernelName: filter,
      inputsToSave: ['x', 'dy'],
      gradFunc: (dFilter, saved, attrs) => {
        const [x, dy] = saved as [Tensor, Tensor];
        return {
          dy: () => run(forward, { x, filter: dFilter as Tensor }, common(attrs)),
          x: () => run(input, { dy, filter: dFilter as Tensor }, { ...common(attrs), inputShape: x.shape }),
        };
      },
    },
  ];
}

/** convolutionGradients — 2-d convolutions, plain and depthwise, and their own gradient kernels. */
export const convolutionGradients: readonly GradConfig[] = [...gradientsOf(CONV), ...gradientsOf(DEPTHWISE)];
