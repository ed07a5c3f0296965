import { getGradient, registerGradient, type GradConfig } from '@tensorflow/tfjs-core';
import { batchNormGradients } from './gradients/batchNorm.ts';
import { blockGradients } from './gradients/blocks.ts';
import { convolutionGradients } from './gradients/convolutions.ts';
import { einsumGradients } from './gradients/einsum.ts';
import { elementwiseGradients } from './gradients/elementwise.ts';
import { gatherGradients } from './gradients/gather.ts';
import { imageGradients } from './gradients/images.ts';
import { matMulGradients } from './gradients/matMul.ts';
import { productGradients } from './gradients/products.ts';
import { reductionGradients } from './gradients/reductions.ts';
import { selectionGradients } from './gradients/selection.ts';
import { shapeGradients } from './gradients/shape.ts';

/** The gradient of every kernel that training needs. */
const gradients = [
  batchNormGradients, blockGradients, convolutionGradients, einsumGradients, elementwiseGradients, gatherGradients, imageGradients,
  matMulGradients, productGradients, reductionGradients, selectionGradients, shapeGradients,
].flat();

/**
 * ensureGradients — registers our gradients, unless they are registered already.
 *
 * The last registration counts: the umbrella package `@tensorflow/tfjs` brings gradients of its own, and when it is loaded
 * after us they replace ours. Looking at one of ours tells.
 */
export function ensureGradients(): void {
  const [ours] = gradients as [GradConfig];
  if (getGradient(ours.kernelName) !== ours) gradients.forEach(registerGradient);
}

ensureGradients();
