import { gpuProgram, memoised, type GpuKernel, type GpuKernelCall } from '@evenkeel/core-tensor';
import type { TensorInfo } from '@tensorflow/tfjs-core';
import { expSumOfRow, logSumExp } from '../wgsl/logSumExp.ts';
import { groupSize, rowLoop, rowStart, rowSum } from '../wgsl/rowReduce.ts';
import { given } from './kernel.ts';
import { elementOf, rowGroups, rowPlan } from './rowPlan.ts';

/**
 * `evenkeel/crossEntropy`: logits `n v`, targets `n` → [loss, lse], `evenkeel/crossEntropyGrad`: logits, targets, lse, dy → dlogits;
 * attrs ignoreIndex, labelSmoothing, zLoss. A target that is no class gives NaN: its value is not known here to throw an error.
 */
export const crossEntropyKernels: readonly GpuKernel[] = [
  { name: 'evenkeel/crossEntropy', run: crossEntropy },
  { name: 'evenkeel/crossEntropyGrad', run: crossEntropyGrad },
];

const UNIFORMS = { rows: 'u32', units: 'u32', classes: 'u32', ignored: 'i32', smoothing: 'f32', z: 'f32', nan: 'f32' } as const;

/**
 * Each row is read once: loss = (1 − ε)(lse − x_t) + ε(lse − mean x) + z·lse², and 0 where the target is to
 * be ignored.
 */
const forwardProgram = memoised((wide: boolean, threads: number) => gpuProgram({
  name: 'crossEntropy',
  bindings: { logits: `read ${elementOf(wide)}`, targets: 'read i32', loss: 'write f32', lse: 'write f32' },
  uniforms: UNIFORMS,
  workgroupSize: groupSize(threads),
  declarations: `${rowSum(threads, 'rowSum')}${logSumExp(threads)}`,
  main: /* wgsl */ `${rowStart(threads)}
  ${expSumOfRow(wide, threads, 'logits', true)}
  let pair = rowExpSum(own, localIndex);
  let mean = rowSum(total, localIndex) / f32(u.classes);
  if (lane > 0u || row >= u.rows) { return; }
  let value = pair.x + log(pair.y);
  lse[row] = value;
  let target_ = targets[row];
  var result = 0.0;
  if (target_ != u.ignored) {
    result = u.nan;
    if (target_ >= 0 && u32(target_) < u.classes) {
      let x = ${wide ? 'logits[start + u32(target_) / 4u][u32(target_) % 4u]' : 'logits[start + u32(target_)]'};
      result = (1.0 - u.smoothing) * (value - x) + u.z * value * value;
      if (u.smoothing != 0.0) { result += u.smoothing * (value - mean); }
    }
  }
  loss[row] = result;`,
}));

/** Row by row: dlogits = dy · ((1 + 2·z·lse)·softmax − (1 − ε)·onehot − ε/v). */
const gradientProgram = memoised((wide: boolean, threads: number) => gpuProgram({
  name: 'crossEntropyGrad',
  bindings: { logits: `read ${elementOf(wide)}`, targets: 'read i32', lse: 'read f32', dy: 'read f32', dlogits: `write ${elementOf(wide)}` },
  uniforms: UNIFORMS,
  workgroupSize: groupSize(threads),
  main: /* wgsl */ `${rowStart(threads)}
  if (row >= u.rows) { return; }
  let target_ = targets[row];
  let value = lse[row];
  let isClass = target_ >= 0 && u32(target_) < u.classes;
  let isIgnored = target_ == u.ignored;
  let gradient = select(u.nan, dy[row], isClass);
  let factor = gradient * (1.0 + 2.0 * u.z * value);
  let shift = gradient * u.smoothing / f32(u.classes);
  let sharp = gradient * (1.0 - u.smoothing);
  ${rowLoop(threads, `
    var x = ${elementOf(wide)}(0.0);
    if (!isIgnored) {
      x = exp(logits[start + i] - value) * factor - shift;
      ${wide ? 'x -= select(vec4f(0.0), vec4f(sharp), vec4i(4 * i32(i)) + vec4i(0, 1, 2, 3) == vec4i(target_));' : 'if (i32(i) == target_) { x -= sharp; }'}
    }
    dlogits[start + i] = x;
  `)}`,
}));

function crossEntropy(call: GpuKernelCall): TensorInfo[] {
  const { backend } = call;
  const [logits, targets] = [given(call, 'logits'), given(call, 'targets')];
  const [rows, classes] = logits.shape as [number, number];
  const plan = rowPlan(classes);
  const { wide, units, threads } = plan;
  const [loss, lse] = [backend.allocate([rows]), backend.allocate([rows])];
  backend.dispatch(forwardProgram(wide, threads), { tensors: { logits, targets, loss, lse }, uniforms: uniformsOf(call, rows, classes, units), groups: rowGroups(backend, rows, plan) });
  return [loss, lse];
}

function crossEntropyGrad(call: GpuKernelCall): TensorInfo {
  const { backend } = call;
  const [logits, targets, lse, dy] = [given(call, 'logits'), given(call, 'targets'), given(call, 'lse'), given(call, 'dy')];
  const [rows, classes] = logits.shape as [number, number];
  const plan = rowPlan(classes);
  const { wide, units, threads } = plan;
  const dlogits = backend.allocate(logits.shape);
  backend.dispatch(gradientProgram(wide, threads), {
    tensors: { logits, targets, lse, dy, dlogits }, uniforms: uniformsOf(call, rows, classes, units), groups: rowGroups(backend, rows, plan),
  });
  return dlogits;
}

function uniformsOf({ attrs }: GpuKernelCall, rows: number, classes: number, units: number): Record<keyof typeof UNIFORMS, number> {
  const { ignoreIndex, labelSmoothing, zLoss } = attrs as { ignoreIndex: number; labelSmoothing: number; zLoss: number };
  return { rows, units, classes, ignored: ignoreIndex, smoothing: labelSmoothing, z: zLoss, nan: NaN };
}
