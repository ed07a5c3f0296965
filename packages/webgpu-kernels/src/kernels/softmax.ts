import { gpuProgram, memoised, type GpuKernel, type GpuKernelCall } from '@evenkeel/core-tensor';
import { Softmax, type TensorInfo } from '@tensorflow/tfjs-core';
import { expSumOfRow, logSumExp } from '../wgsl/logSumExp.ts';
import { groupSize, rowLoop, rowStart } from '../wgsl/rowReduce.ts';
import { given, rowsOf } from './kernel.ts';
import { elementOf, rowGroups, rowPlan } from './rowPlan.ts';

/** tfjs' `Softmax`: logits → y, over the last axis: its op allows no other. */
export const softmaxKernels: readonly GpuKernel[] = [{ name: Softmax, run: softmax }];

/** Two passes over each row: the sum of exponentials beside the largest number so far, then y. */
const program = memoised((wide: boolean, threads: number) => gpuProgram({
  name: 'softmax',
  bindings: { x: `read ${elementOf(wide)}`, y: `write ${elementOf(wide)}` },
  uniforms: { rows: 'u32', units: 'u32' },
  workgroupSize: groupSize(threads),
  declarations: logSumExp(threads),
  main: /* wgsl */ `${rowStart(threads)}
  ${expSumOfRow(wide, threads, 'x')}
  let pair = rowExpSum(own, localIndex);
  let factor = 1.0 / pair.y;
  ${rowLoop(threads, 'y[start + i] = exp(x[start + i] - pair.x) * factor;')}`,
}));

function softmax(call: GpuKernelCall): TensorInfo {
  const { backend } = call;
  const x = given(call, 'logits');
  const plan = rowPlan(x.shape.at(-1) ?? 1);
  const rows = rowsOf(x);
  const y = backend.allocate(x.shape);
  backend.dispatch(program(plan.wide, plan.threads), { tensors: { x, y }, uniforms: { rows, units: plan.units }, groups: rowGroups(backend, rows, plan) });
  return y;
}
