import { getKernel, getKernelsForBackend, registerKernel, type KernelConfig } from '@tensorflow/tfjs-core';
import type { WasmBackend } from '../wasmBackend.ts';
import { activationKernels } from './activation.ts';
import { attentionKernels } from './attention.ts';
import { binaryKernels } from './binary.ts';
import { castKernels } from './cast.ts';
import { conv2dKernels } from './conv2d.ts';
import { crossEntropyKernels } from './crossEntropy.ts';
import { dropoutKernels } from './dropout.ts';
import { embeddingKernels } from './embedding.ts';
import { gatherKernels } from './gather.ts';
import { geluKernels } from './gelu.ts';
import { gluKernels } from './glu.ts';
import type { WasmKernel } from './kernel.ts';
import { linearKernels } from './linear.ts';
import { logicalKernels } from './logical.ts';
import { matMulKernels } from './matMul.ts';
import { moveKernels } from './move.ts';
import { normKernels } from './norm.ts';
import { optimizerKernels } from './optimizers.ts';
import { rearrangeKernels } from './rearrange.ts';
import { reduceKernels } from './reduce.ts';
import { rotaryKernels } from './rotary.ts';
import { spectralKernels } from './spectral.ts';
import { unaryKernels } from './unary.ts';

/** KERNELS — every kernel of this package: one list per family. */
export const KERNELS: readonly WasmKernel[] = [
  ...matMulKernels, ...conv2dKernels, ...linearKernels, ...attentionKernels, ...normKernels, ...crossEntropyKernels, ...embeddingKernels, ...geluKernels,
  ...activationKernels, ...gluKernels, ...rotaryKernels, ...dropoutKernels, ...optimizerKernels, ...spectralKernels, ...unaryKernels, ...binaryKernels,
  ...castKernels, ...reduceKernels, ...moveKernels, ...rearrangeKernels, ...gatherKernels, ...logicalKernels,
];

/** registerWasmKernels — ours first, then the CPU backend's for every name we do not have. A second call changes nothing. */
export function registerWasmKernels(backendName: string): void {
  for (const { name, run } of KERNELS) {
    const kernelFunc: KernelConfig['kernelFunc'] = ({ inputs, attrs = {}, backend }) => {
      const ours = backend as WasmBackend;
      return ours.call(() => run({ inputs, attrs, backend: ours }));
    };
    register({ kernelName: name, backendName, kernelFunc });
  }
  for (const kernel of getKernelsForBackend('cpu')) register({ ...kernel, backendName });
}

function register(kernel: KernelConfig): void {
  if (getKernel(kernel.kernelName, kernel.backendName) === undefined) registerKernel(kernel);
}
