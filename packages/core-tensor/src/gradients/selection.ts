import { clone, where, zeros, zerosLike, type GradConfig, type Tensor } from '@tensorflow/tfjs-core';
import { linear, shapeOf, shapesOf } from './config.ts';

/** A kernel that is constant almost everywhere: every input has a gradient of zeros. */
const constant = (kernelName: string, ...inputs: string[]): GradConfig => ({
  kernelName,
  inputsToSave: shapesOf(...inputs),
  gradFunc: (_, saved) => Object.fromEntries(inputs.map((input, i) => [input, () => zeros(shapeOf(saved[i] as Tensor))])),
});

/**
 * selectionGradients — kernels that choose, compare, round or convert.
 *
 * Our own walk of the tape stops at tensors that are not float32; the comparisons stand here for tfjs' walk, which does not.
 */
export const selectionGradients: readonly GradConfig[] = [
  {
    kernelName: 'Select',
    inputsToSave: ['condition'],
    gradFunc: (dy, saved) => {
      const [condition, dOut] = [saved[0] as Tensor, dy as Tensor];
      return {
        condition: () => zeros(condition.shape),
        t: () => where(condition, dOut, zerosLike(dOut)),
        e: () => where(condition, zerosLike(dOut), dOut),
      };
    },
  },
  linear('Identity', clone),
  linear('Cast', clone),
  ...['Step', 'Sign', 'Floor', 'Ceil', 'Round', 'ZerosLike', 'OnesLike'].map((name) => linear(name, zerosLike)),
  ...['IsNan', 'IsInf', 'IsFinite', 'LogicalNot', 'ArgMax', 'ArgMin', 'All', 'Any'].map((name) => constant(name, 'x')),
  ...['FloorDiv', 'Equal', 'NotEqual', 'Greater', 'GreaterEqual', 'Less', 'LessEqual', 'LogicalAnd', 'LogicalOr', 'LogicalXor']
    .map((name) => constant(name, 'a', 'b')),
  constant('OneHot', 'indices'),
];
