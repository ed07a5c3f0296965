import { add, clone, mul, neg, rsqrt, sub, type GradConfig, type Tensor } from '@tensorflow/tfjs-core';
import { attr, presentInputs, sumTo } from './config.ts';

/** batchNormGradients — `(x − mean)·rsqrt(variance + eps)·scale + offset`, where scale and offset may be absent. */
export const batchNormGradients: readonly GradConfig[] = [{
  kernelName: 'FusedBatchNorm',
  inputsToSave: presentInputs('x', 'mean', 'variance', 'scale'),
  gradFunc: (dOut, saved, attrs) => {
    const [x, mean, variance, scale] = saved as [Tensor, Tensor, Tensor, Tensor | undefined];
    const dy = dOut as Tensor;
    const inverse = rsqrt(add(variance, attr<number>(attrs, 'varianceEpsilon')));
    const centred = sub(x, mean);
    const dx = mul(scale === undefined ? dy : mul(dy, scale), inverse);
    return {
      x: () => sumTo(dx, x.shape),
      mean: () => neg(sumTo(dx, mean.shape)),
      variance: () => sumTo(mul(mul(dx, centred), mul(mul(inverse, inverse), -0.5)), variance.shape),
      scale: () => sumTo(mul(dy, mul(centred, inverse)), mean.shape),
      offset: () => clone(sumTo(dy, mean.shape)),
    };
  },
}];
