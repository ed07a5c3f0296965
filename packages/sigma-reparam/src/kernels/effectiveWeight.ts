import { gpuProgram, type GpuKernel, type GpuKernelCall } from '@evenkeel/core-tensor';
import type { TensorInfo } from '@tensorflow/tfjs-core';
import { matrixShape } from '../matrixOf.ts';
import { ADD_UP, given, INVOCATIONS, shareCount } from './sums.ts';

const LANES = 16;
const ROWS = INVOCATIONS / LANES;
/** Elements that an invocation computes, as many of them in vectors as can be: each workgroup meets to add up, which must be worth it. */
const EACH = 16;
const PER_GROUP = INVOCATIONS * EACH;

/** Shares of sigma = uᵀ W v, one per workgroup: 16 lanes per row. Reads W once. */
const sigmaShares = gpuProgram({
  name: 'sigmaShares', bindings: { weight: 'read f32', left: 'read f32', right: 'read f32', shares: 'write f32' },
  uniforms: { rows: 'u32', columns: 'u32', count: 'u32' }, workgroupSize: INVOCATIONS, declarations: ADD_UP,
  main: /* wgsl */ `
    let lane = localIndex % ${LANES}u;
    var total = 0.0;
    for (var row = groupIndex * ${ROWS}u + localIndex / ${LANES}u; row < u.rows; row += u.count * ${ROWS}u) {
      var sum = 0.0;
      for (var i = lane; i < u.columns; i += ${LANES}u) { sum += weight[row * u.columns + i] * right[i]; }
      total += left[row] * sum;
    }
    let share = addUp(total, localIndex);
    if (localIndex == 0u) { shares[groupIndex] = share; }`,
});

/** Ŵ = (gamma/sigma) · W, and sigma: every workgroup adds the shares up. Reads and writes W once. */
const scaled = gpuProgram({
  name: 'scaledBySigma', bindings: { weight: 'read vec4f', gamma: 'read f32', shares: 'read f32', y: 'write vec4f', sigma: 'write f32' },
  uniforms: { vectors: 'u32', count: 'u32' }, workgroupSize: INVOCATIONS, declarations: ADD_UP,
  main: /* wgsl */ `
    var share = 0.0;
    if (localIndex < u.count) { share = shares[localIndex]; }
    let total = addUp(share, localIndex);
    if (groupIndex == 0u && localIndex == 0u) { sigma[0] = total; }
    let factor = gamma[0] / total;
    for (var k = 0u; k < ${EACH / 4}u; k++) {
      let at = groupIndex * ${PER_GROUP / 4}u + k * ${INVOCATIONS}u + localIndex;
      if (at < u.vectors) { y[at] = factor * weight[at]; }
    }`,
});

/** Shares of ⟨G, W⟩, one per workgroup; what lies behind the last element may be NaN. */
const innerShares = gpuProgram({
  name: 'innerShares', bindings: { weight: 'read vec4f', dy: 'read vec4f', shares: 'write f32' }, uniforms: { size: 'u32', count: 'u32' }, workgroupSize: INVOCATIONS,
  declarations: ADD_UP,
  main: /* wgsl */ `
    var total = vec4f(0.0);
    for (var at = index; 4u * at < u.size; at += u.count * ${INVOCATIONS}u) {
      let isInside = vec4u(4u * at) + vec4u(0u, 1u, 2u, 3u) < vec4u(u.size);
      total += select(vec4f(0.0), dy[at] * weight[at], isInside);
    }
    let share = addUp((total.x + total.y) + (total.z + total.w), localIndex);
    if (localIndex == 0u) { shares[groupIndex] = share; }`,
});

/** dW = (gamma/sigma) · (G − c · u vᵀ) with c = ⟨G, W⟩/sigma, which is the gradient of gamma. Reads G and writes dW once. */
const weightGrad = gpuProgram({
  name: 'sigmaReparamGrad',
  bindings: {
    dy: 'read f32', gamma: 'read f32', left: 'read f32', right: 'read f32', sigma: 'read f32', shares: 'read f32', dweight: 'write f32', dgamma: 'write f32',
  },
  uniforms: { size: 'u32', columns: 'u32', count: 'u32' }, workgroupSize: INVOCATIONS, declarations: ADD_UP,
  main: /* wgsl */ `
    var share = 0.0;
    if (localIndex < u.count) { share = shares[localIndex]; }
    let along = addUp(share, localIndex) / sigma[0];
    if (groupIndex == 0u && localIndex == 0u) { dgamma[0] = along; }
    let factor = gamma[0] / sigma[0];
    for (var k = 0u; k < ${EACH}u; k++) {
      let at = groupIndex * ${PER_GROUP}u + k * ${INVOCATIONS}u + localIndex;
      if (at < u.size) { dweight[at] = factor * (dy[at] - along * left[at / u.columns] * right[at % u.columns]); }
    }`,
});

/**
 * `evenkeel/sigmaReparam`: weight `o …`, gamma `1`, u `o`, v `i` → [Ŵ, of the shape of weight; sigma, a scalar].
 * `evenkeel/sigmaReparamGrad`: the same, sigma and dy → [dweight, dgamma]. Two launches each.
 */
export const effectiveWeightKernels: readonly GpuKernel[] = [
  { name: 'evenkeel/sigmaReparam', run: forward },
  { name: 'evenkeel/sigmaReparamGrad', run: backward },
];

function forward(call: GpuKernelCall): TensorInfo[] {
  const { backend } = call;
  const weight = given(call, 'weight');
  const [rows, columns] = matrixShape(weight.shape);
  const count = shareCount(rows, ROWS);
  const vectors = Math.ceil((rows * columns) / 4);
  const [shares, y, sigma] = [backend.temporary([count]), backend.allocate(weight.shape), backend.allocate([])];
  const singular = { left: given(call, 'u'), right: given(call, 'v') };
  backend.dispatch(sigmaShares, { tensors: { weight, ...singular, shares }, uniforms: { rows, columns, count }, groups: [count] });
  backend.dispatch(scaled, { tensors: { weight, gamma: given(call, 'gamma'), shares, y, sigma }, uniforms: { vectors, count }, groups: backend.spread(Math.ceil((4 * vectors) / PER_GROUP)) });
  return [y, sigma];
}

function backward(call: GpuKernelCall): TensorInfo[] {
  const { backend } = call;
  const [weight, gamma, sigma, dy] = ['weight', 'gamma', 'sigma', 'dy'].map((name) => given(call, name)) as [TensorInfo, TensorInfo, TensorInfo, TensorInfo];
  const [rows, columns] = matrixShape(weight.shape);
  const size = rows * columns;
  const count = shareCount(size, PER_GROUP);
  const [shares, dweight, dgamma] = [backend.temporary([count]), backend.allocate(weight.shape), backend.allocate([1])];
  backend.dispatch(innerShares, { tensors: { weight, dy, shares }, uniforms: { size, count }, groups: [count] });
  backend.dispatch(weightGrad, {
    tensors: { dy, gamma, left: given(call, 'u'), right: given(call, 'v'), sigma, shares, dweight, dgamma },
    uniforms: { size, columns, count }, groups: backend.spread(Math.ceil(size / PER_GROUP)),
  });
  return [dweight, dgamma];
}
