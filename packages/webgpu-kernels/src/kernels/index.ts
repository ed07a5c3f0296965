import { GPU_BACKEND, registerGpuKernels, type GpuKernel } from '@evenkeel/core-tensor';
import { getKernel, getKernelsForBackend, registerKernel } from '@tensorflow/tfjs-core';
import { repairedKernel } from '../repairs/kernels.ts';
import { activationKernels } from './activation.ts';
import { binaryKernels } from './binary.ts';
import { castKernels } from './cast.ts';
import { crossEntropyKernels } from './crossEntropy.ts';
import { dropoutKernels } from './dropout.ts';
import { embeddingKernels } from './embedding.ts';
import { fillKernels } from './fill.ts';
import { gluKernels } from './glu.ts';
import { linearKernels } from './linear.ts';
import { logicalKernels } from './logical.ts';
import { matMulKernels } from './matMul.ts';
import { moveKernels } from './move.ts';
import { normGradKernels } from './normGrad.ts';
import { normKernels } from './norm.ts';
import { optimizerKernels } from './optimizers.ts';
import { rearrangeKernels } from './rearrange.ts';
import { reduceKernels } from './reduce.ts';
import { rotaryKernels } from './rotary.ts';
import { softmaxKernels } from './softmax.ts';
import { stepScalarKernels } from './stepScalar.ts';
import { transposeKernels } from './transpose.ts';
import { unaryKernels } from './unary.ts';

/** KERNELS — every kernel of this package: one list per family. Those of techniques live with the techniques. */
export const KERNELS: readonly GpuKernel[] = [
  ...activationKernels,
  ...binaryKernels,
  ...castKernels,
  ...crossEntropyKernels,
  ...dropoutKernels,
  ...embeddingKernels,
  ...fillKernels,
  ...gluKernels,
  ...linearKernels,
  ...logicalKernels,
  ...matMulKernels,
  ...moveKernels,
  ...normGradKernels,
  ...normKernels,
  ...optimizerKernels,
  ...rearrangeKernels,
  ...reduceKernels,
  ...rotaryKernels,
  ...softmaxKernels,
  ...stepScalarKernels,
  ...transposeKernels,
  ...unaryKernels,
];

/** registerKernels — ours first, then tfjs' own for every name we do not have. A second call changes nothing. */
export function registerKernels(): void {
  registerGpuKernels(KERNELS);
  for (const kernel of getKernelsForBackend('webgpu')) {
    if (getKernel(kernel.kernelName, GPU_BACKEND) === undefined) registerKernel({ ...repairedKernel(kernel), backendName: GPU_BACKEND });
  }
}
