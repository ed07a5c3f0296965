import { gpuProgram, type GpuKernel, type GpuKernelCall } from '@evenkeel/core-tensor';
import type { TensorInfo } from '@tensorflow/tfjs-core';
import { matrixShape } from '../matrixOf.ts';
import { ADD_UP, given, INVOCATIONS } from './sums.ts';

const LANES = 16;
const ROWS = 4;
/** Columns of a workgroup, and rows whose share of a column one invocation adds up. */
const BLOCK = 64;

/** p = W v: 16 lanes per row, 4 rows per workgroup. Reads W once, 64 bytes side by side. */
const timesVector = gpuProgram({
  name: 'timesVector', bindings: { weight: 'read f32', v: 'read f32', p: 'write f32' }, uniforms: { rows: 'u32', columns: 'u32' }, workgroupSize: LANES * ROWS,
  declarations: /* wgsl */ `var<workgroup> parts: array<f32, ${LANES * ROWS}>;`,
  main: /* wgsl */ `
    let lane = localIndex % ${LANES}u;
    let row = groupIndex * ${ROWS}u + localIndex / ${LANES}u;
    var sum = 0.0;
    if (row < u.rows) {
      for (var i = lane; i < u.columns; i += ${LANES}u) { sum += weight[row * u.columns + i] * v[i]; }
    }
    parts[localIndex] = sum;
    workgroupBarrier();
    if (lane == 0u && row < u.rows) {
      for (var k = 1u; k < ${LANES}u; k++) { sum += parts[localIndex + k]; }
      p[row] = sum;
    }`,
});

/** Shares of q = Wᵀ p, one row of them per 64 rows of W: an invocation per column and block. Reads W once, 256 bytes side by side. */
const transposedTimes = gpuProgram({
  name: 'transposedTimes', bindings: { weight: 'read f32', p: 'read f32', shares: 'write f32' }, uniforms: { rows: 'u32', columns: 'u32', across: 'u32' }, workgroupSize: BLOCK,
  main: /* wgsl */ `
    let column = groupIndex % u.across * ${BLOCK}u + localIndex;
    let block = groupIndex / u.across;
    let first = block * ${BLOCK}u;
    if (column < u.columns && first < u.rows) {
      var sum = 0.0;
      for (var row = first; row < min(first + ${BLOCK}u, u.rows); row++) { sum += weight[row * u.columns + column] * p[row]; }
      shares[block * u.columns + column] = sum;
    }`,
});

/** u = p/‖p‖ in one workgroup, v = q/‖q‖ in another, where q is the sum of its shares. */
const unitVectors = gpuProgram({
  name: 'unitVectors', bindings: { p: 'read f32', shares: 'read f32', left: 'write f32', right: 'write f32' },
  uniforms: { rows: 'u32', columns: 'u32', blocks: 'u32' }, workgroupSize: INVOCATIONS,
  declarations: /* wgsl */ `
    ${ADD_UP}
    fn component(isLeft: bool, i: u32) -> f32 {
      if (isLeft) { return p[i]; }
      var sum = 0.0;
      for (var block = 0u; block < u.blocks; block++) { sum += shares[block * u.columns + i]; }
      return sum;
    }`,
  main: /* wgsl */ `
    let isLeft = groupIndex == 0u;
    let size = select(u.columns, u.rows, isLeft);
    var squares = 0.0;
    for (var i = localIndex; i < size; i += ${INVOCATIONS}u) { let x = component(isLeft, i); squares += x * x; }
    let length = sqrt(addUp(squares, localIndex));
    for (var i = localIndex; i < size; i += ${INVOCATIONS}u) {
      let x = component(isLeft, i) / length;
      if (isLeft) { left[i] = x; } else { right[i] = x; }
    }`,
});

/** `evenkeel/powerIteration`: weight `o …`, v `i` → [u `o`, v `i`]. Three launches, everything in f32. */
export const powerIterationKernel: GpuKernel = { name: 'evenkeel/powerIteration', run };

function run(call: GpuKernelCall): TensorInfo[] {
  const { backend } = call;
  const weight = given(call, 'weight');
  const [rows, columns] = matrixShape(weight.shape);
  const [across, blocks] = [Math.ceil(columns / BLOCK), Math.ceil(rows / BLOCK)];
  const [p, shares] = [backend.temporary([rows]), backend.temporary([blocks, columns])];
  const [left, right] = [backend.allocate([rows]), backend.allocate([columns])];
  const uniforms = { rows, columns };
  backend.dispatch(timesVector, { tensors: { weight, v: given(call, 'v'), p }, uniforms, groups: backend.spread(Math.ceil(rows / ROWS)) });
  backend.dispatch(transposedTimes, { tensors: { weight, p, shares }, uniforms: { ...uniforms, across }, groups: backend.spread(across * blocks) });
  backend.dispatch(unitVectors, { tensors: { p, shares, left, right }, uniforms: { ...uniforms, blocks }, groups: [2] });
  return [left, right];
}
