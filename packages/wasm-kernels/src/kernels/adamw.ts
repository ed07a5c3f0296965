import { util, type TensorInfo } from '@tensorflow/tfjs-core';
import { chunksFor, floats, type KernelCall, type WasmKernel } from './kernel.ts';

/** `evenkeel/adamw`: param, grad, mu, nu → [update, mu', nu'] in one pass. */
export const adamwKernels: readonly WasmKernel[] = [{ name: 'evenkeel/adamw', run: adamw }];

function adamw(call: KernelCall): TensorInfo[] {
  const { attrs, backend } = call;
  const { param, grad, mu, nu } = floats(call, 'adamw', 'param', 'grad', 'mu', 'nu');
  const outputs = [0, 1, 2].map(() => backend.allocate(param.shape));
  const size = util.sizeFromShape(param.shape);
  const { learningRate, beta1, beta2, eps, weightDecay, correction1, correction2 } = attrs as Record<string, number>;
  const numbers = [learningRate, beta1, beta2, eps, weightDecay, correction1, correction2, 1 - (beta1 as number), 1 - (beta2 as number)];
  backend.run('adamw', chunksFor(size), ...[param, grad, mu, nu, ...outputs].map((x) => backend.pointer(x)), size, ...(numbers as number[]));
  return outputs;
}
