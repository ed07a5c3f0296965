import { scalar, type Scalar } from '@tensorflow/tfjs-core';
import { runKernel } from './fusedOp.ts';
import { StepNumber } from './step.ts';

/**
 * stepScalar — a number as a tensor, for arithmetic with tfjs ops that a captured step repeats with the number of each run.
 *
 * @returns  a float32 scalar, owned by the caller.
 */
export function stepScalar(number: number | StepNumber): Scalar {
  return number instanceof StepNumber ? runKernel('evenkeel/stepScalar', {}, { value: number }) as Scalar : scalar(number);
}
