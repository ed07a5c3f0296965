import {
  broadcastTo, cast, cumsum, div, equal, exp, mul, reshape, sub, sum, util, type GradConfig, type Tensor,
} from '@tensorflow/tfjs-core';
import { attr, fromOutput, fromShape, linear, type Attrs, type Shape } from './config.ts';

type AxisParam = number | number[] | null;

/** The reduced axes, and the shape of `x` with 1 in their place. */
function reduced(shape: Shape, axis: AxisParam): { axes: number[]; kept: number[]; count: number } {
  const axes = util.parseAxisParam(axis as number[], [...shape]);
  const kept = shape.map((size, i) => (axes.includes(i) ? 1 : size));
  return { axes, kept, count: axes.reduce((product, i) => product * (shape[i] as number), 1) };
}

/** Spreads the gradient of a reduction back over the reduced axes. */
function spread(dy: Tensor, shape: Shape, axis: AxisParam): Tensor {
  return broadcastTo(reshape(dy, reduced(shape, axis).kept), [...shape]);
}

/** extremum — Max and Min: the gradient goes to the elements that equal the result, in equal parts if there are several. */
function extremum(kernelName: string, axisName: string): GradConfig {
  return {
    kernelName,
    inputsToSave: ['x'],
    outputsToSave: [true],
    gradFunc: (dy, saved, attrs) => {
      const [x, y] = saved as [Tensor, Tensor];
      return {
        x: () => {
          const { axes, kept } = reduced(x.shape, attr<AxisParam>(attrs, axisName));
          const chosen = cast(equal(x, reshape(y, kept)), 'float32');
          return mul(chosen, div(reshape(dy as Tensor, kept), sum(chosen, axes, true)));
        },
      };
    },
  };
}

function softmaxGrad(dy: Tensor, y: Tensor, attrs: Attrs): Tensor {
  const dyTimesY = mul(dy, y);
  return sub(dyTimesY, mul(sum(dyTimesY, [attr<number>(attrs, 'dim')], true), y));
}

/** reductionGradients — kernels that reduce or accumulate along axes. */
export const reductionGradients: readonly GradConfig[] = [
  fromShape('Sum', (dy, shape, attrs) => spread(dy, shape, attr<AxisParam>(attrs, 'axis'))),
  fromShape('Mean', (dy, shape, attrs) => {
    const axis = attr<AxisParam>(attrs, 'axis');
    return spread(div(dy, reduced(shape, axis).count), shape, axis);
  }),
  extremum('Max', 'reductionIndices'),
  extremum('Min', 'axis'),
  fromOutput('Softmax', softmaxGrad, 'logits'),
  fromOutput('LogSoftmax', (dy, y, attrs) => sub(dy, mul(sum(dy, [attr<number>(attrs, 'axis')], true), exp(y))), 'logits'),
  linear('Cumsum', (dy, attrs) => cumsum(dy, attr<number>(attrs, 'axis'), attr<boolean>(attrs, 'exclusive'), !attr<boolean>(attrs, 'reverse'))),
];
