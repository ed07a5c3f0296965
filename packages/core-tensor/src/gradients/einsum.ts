import { broadcastTo, reshape, type GradConfig, type Tensor } from '@tensorflow/tfjs-core';
import { einsum } from '../einsum.ts';
import { attr } from './config.ts';

/**
 * The gradient for term `index` of tfjs' einsum: another einsum, of dy and the other tensors. Labels that stand in that term
 * alone were summed, so their gradient is spread.
 */
function termGradient(dy: Tensor, tensors: readonly Tensor[], equation: string, index: number): Tensor {
  const [left = '', output = ''] = equation.replace(/\s/g, '').split('->');
  const terms = left.split(',');
  const [own, shape] = [[...(terms[index] as string)], (tensors[index] as Tensor).shape];
  const others = terms.filter((_, i) => i !== index);
  const isKnown = (label: string): boolean => output.includes(label) || others.some((term) => term.includes(label));
  const known = einsum(`${[output, ...others].join(',')}->${own.filter(isKnown).join('')}`, dy, ...tensors.filter((_, i) => i !== index));
  if (own.every(isKnown)) return known;
  return broadcastTo(reshape(known, shape.map((size, axis) => (isKnown(own[axis] as string) ? size : 1))), shape);
}

/** einsumGradients — the gradient of tfjs' own einsum. */
export const einsumGradients: readonly GradConfig[] = [{
  kernelName: 'Einsum',
  saveAllInputs: true,
  gradFunc: (dy, tensors, attrs) => Object.fromEntries(tensors.map((_, index) =>
    [index, () => termGradient(dy as Tensor, tensors, attr<string>(attrs, 'equation'), index)])),
}];
