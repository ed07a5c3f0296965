import { registerGradient } from '@tensorflow/tfjs-core';
import { elementwiseGradients } from './gradients/elementwise.ts';
import { gatherGradients } from './gradients/gather.ts';
import { matMulGradients } from './gradients/matMul.ts';
import { selectionGradients } from './gradients/selection.ts';
import { reductionGradients } from './gradients/reductions.ts';
import { shapeGradients } from './gradients/shape.ts';

/** The gradient of every kernel that training needs; later registrations replace tfjs' own, if those were loaded before. */
const gradients = [
  ...elementwiseGradients, ...gatherGradients, ...matMulGradients, ...selectionGradients, ...reductionGradients, ...shapeGradients,
];
for (const gradient of gradients) registerGradient(gradient);
