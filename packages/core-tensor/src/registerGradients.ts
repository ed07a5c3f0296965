import { registerGradient } from '@tensorflow/tfjs-core';
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

/** The gradient of every kernel that training needs; later registrations replace tfjs' own, if those were loaded before. */
const gradients = [
  batchNormGradients, blockGradients, convolutionGradients, einsumGradients, elementwiseGradients, gatherGradients, imageGradients,
  matMulGradients, productGradients, reductionGradients, selectionGradients, shapeGradients,
].flat();
for (const gradient of gradients) registerGradient(gradient);
