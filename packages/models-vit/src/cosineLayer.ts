import { checkInteger, normal, type LinearFactory } from '@evenkeel/core-tensor';
import { linear } from '@evenkeel/layers';
import { add, div, sqrt, square, sum, tidy, type Tensor } from '@tensorflow/tfjs-core';

/**
 * cosineLayer — a head whose logits are the cosines of the features with one direction per class: `head: cosineLayer()`, for `ldamLoss`.
 *
 *     y_j = x · w_j / (‖x‖ ‖w_j‖)
 *
 * @returns  a LinearFactory; its layers have the params `weight: n c`.
 */
export function cosineLayer(): LinearFactory {
  return (inDim, outDim, { role = 'head', outAxis = 'class', inAxis = 'dim' } = {}) => {
    checkInteger('cosineLayer', 'inDim', inDim);
    checkInteger('cosineLayer', 'outDim', outDim);
    return {
      specs: { weight: { shape: [outDim, inDim], axes: `${outAxis} ${inAxis}`, role, fanIn: inDim } },
      initialiserOf: () => normal({ std: 1 / Math.sqrt(inDim) }),
      apply: (x, params) => tidy('cosineLayer', () => linear(unitRows(x), { weight: unitRows((params as { weight: Tensor }).weight) })),
    };
  };
}

const unitRows = (x: Tensor): Tensor => div(x, sqrt(add(sum(square(x), -1, true), 1e-12)));
