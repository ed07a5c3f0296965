import { gpuProgram, memoised, type GpuKernel, type GpuKernelCall } from '@evenkeel/core-tensor';
import type { TensorInfo } from '@tensorflow/tfjs-core';
import { meanAndScale } from '../wgsl/meanAndScale.ts';
import { groupSize, rowLoop, rowStart, rowSum } from '../wgsl/rowReduce.ts';
import { given, rowsOf } from './kernel.ts';
import { elementOf, lanes, rowGroups, rowPlan } from './rowPlan.ts';

/**
 * `evenkeel/layerNorm`, `evenkeel/rmsNorm`: x, weight?, bias? → y over the last axis, attrs eps; and both of a sum
 * (`evenkeel/addLayerNorm`, `evenkeel/addRmsNorm`): x, residual, weight?, bias? → [y, sum].
 */
export const normKernels: readonly GpuKernel[] = [
  { name: 'evenkeel/layerNorm', run: (call) => norm(call, true)[0] as TensorInfo },
  { name: 'evenkeel/rmsNorm', run: (call) => norm(call, false)[0] as TensorInfo },
  { name: 'evenkeel/addLayerNorm', run: (call) => norm(call, true, given(call, 'residual')) },
  { name: 'evenkeel/addRmsNorm', run: (call) => norm(call, false, given(call, 'residual')) },
];

/**
 * Three passes over each row: the sum, the squares of what is left without the mean, and y. Only the first reads what is new to
 * the caches. A thread sees the same channels in each, so it reads its own numbers of `sum`.
 */
const normProgram = memoised((wide: boolean, threads: number, centred: boolean, weighted: boolean, biased: boolean, summed: boolean) => {
  const element = elementOf(wide);
  const loop = (body: string): string => rowLoop(threads, body);
  const value = `${summed ? 'sum' : 'x'}[start + i]`;
  const first = summed ? 'let v = x[start + i] + residual[start + i]; sum[start + i] = v;' : 'let v = x[start + i];';
  return gpuProgram({
    name: centred ? 'layerNorm' : 'rmsNorm',
    bindings: {
      x: `read ${element}`,
      ...(summed ? { residual: `read ${element}`, sum: `write ${element}` } : {}),
      ...(weighted ? { weight: `read ${element}` } : {}), ...(biased ? { bias: `read ${element}` } : {}),
      y: `write ${element}`,
    },
    uniforms: { rows: 'u32', units: 'u32', channels: 'f32', eps: 'f32' },
    workgroupSize: groupSize(threads),
    declarations: `${lanes(wide)}${rowSum(threads, 'rowSum')}${centred ? rowSum(threads, 'rowSums', 'vec2f') : ''}`,
    main: /* wgsl */ `${rowStart(threads)}
    ${centred ? `var total = ${element}(0.0);
    ${loop(`${first} total += v;`)}
    ${meanAndScale(threads, element, value)}` : `let mean = 0.0;
    var squares = ${element}(0.0);
    ${loop(`${first} squares += v * v;`)}
    let scale = inverseSqrt(rowSum(lanes(squares), localIndex) / u.channels + u.eps);`}
    ${loop(`y[start + i] = (${value} - mean) * scale${weighted ? ' * weight[i]' : ''}${biased ? ' + bias[i]' : ''};`)}`,
  });
});

function norm(call: GpuKernelCall, centred: boolean, residual?: TensorInfo): TensorInfo[] {
  const { inputs: { weight, bias }, attrs, backend } = call;
  const x = given(call, 'x');
  const channels = x.shape.at(-1) as number;
  const plan = rowPlan(channels);
  const { wide, units, threads } = plan;
  const rows = rowsOf(x);
  const y = backend.allocate(x.shape);
  const sum = residual === undefined ? [] : [backend.allocate(x.shape)];
  const tensors = { x, y, ...(residual === undefined ? {} : { residual, sum: sum[0] as TensorInfo }), ...(weight === undefined ? {} : { weight }), ...(bias === undefined ? {} : { bias }) };
  backend.dispatch(normProgram(wide, threads, centred, weight !== undefined, bias !== undefined, residual !== undefined), {
    tensors, uniforms: { rows, units, channels, eps: attrs.eps as number }, groups: rowGroups(backend, rows, plan),
  });
  return [y, ...sum];
}
