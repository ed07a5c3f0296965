import { registerGradient } from '@tensorflow/tfjs-core';
import { elementwiseGradients } from './gradients/elementwise.ts';
import { matMulGradients } from './gradients/matMul.ts';
import { reductionGradients } from './gradients/reductions.ts';
import { shapeGradients } from './gradients/shape.ts';

/** The gradient of every kernel that training needs; later registrations replace tfjs' own, if those were loaded before. */
for (const gradient of [...elementwiseGradients, ...matMulGradients, ...reductionGradients, ...shapeGradients]) registerGradient(gradient);
