import { gpuProgram, memoised, type GpuBinding, type GpuKernelCall, type GpuScalar } from '@evenkeel/core-tensor';
import type { TensorInfo } from '@tensorflow/tfjs-core';
import { sizeOf } from './kernel.ts';
import { eachTensor, listOf, numbered, partsOf } from './lists.ts';

const INVOCATIONS = 256;
/** Vectors that each invocation squares and adds one after the other: bounds the rounding error of long sums. */
const VECTORS_EACH = 16;
const VECTORS_PER_GROUP = INVOCATIONS * VECTORS_EACH;
/** Tensors of one launch: with more, software devices compile longer than the launches that are saved take. */
const MOST_TENSORS = 8;

/** Adds what all invocations of the workgroup put into `shares`, pair by pair; the sum stands in shares[0]. */
const ADD_SHARES = /* wgsl */ `
  var<workgroup> shares: array<f32, ${INVOCATIONS}>;
  fn addShares(localIndex: u32, share: f32) -> f32 {
    shares[localIndex] = share;
    for (var half = ${INVOCATIONS / 2}u; half > 0u; half >>= 1u) {
      workgroupBarrier();
      if (localIndex < half) { shares[localIndex] += shares[localIndex + half]; }
    }
    workgroupBarrier();
    return shares[0];
  }`;

/**
 * The sum of squares of 16,384 elements per workgroup, of `count` tensors; one number per workgroup goes to `sums`, from u.start on.
 * Workgroups meet once, behind what differs between tensors: barriers in each branch would take drivers long to compile.
 */
const squaresProgram = memoised((count: number) => gpuProgram({
  name: 'squares',
  bindings: { ...numbered<GpuBinding>(count, (i) => ({ [`x${i}`]: 'read vec4f' })), sums: 'write f32' },
  uniforms: { start: 'u32', groups: 'u32', ...numbered<GpuScalar>(count, (i) => ({ [`end${i}`]: 'u32', [`size${i}`]: 'u32' })) },
  workgroupSize: INVOCATIONS,
  declarations: /* wgsl */ `
    ${ADD_SHARES}
    /** The squares of x without those at or beyond the end of the tensor: garbage, maybe NaN. */
    fn squares(x: vec4f, first: u32, size: u32) -> vec4f {
      return select(vec4f(0.0), x * x, vec4u(first) + vec4u(0u, 1u, 2u, 3u) < vec4u(size));
    }
    fn share(groupIndex: u32, localIndex: u32) -> f32 {
      var total = vec4f(0.0);
      ${eachTensor(count, (i) => /* wgsl */ `
      var at = (groupIndex - first) * ${VECTORS_PER_GROUP}u + localIndex;
      for (var k = 0u; k < ${VECTORS_EACH}u && 4u * at < u.size${i}; k++) {
        total += squares(x${i}[at], 4u * at, u.size${i});
        at += ${INVOCATIONS}u;
      }
      return (total.x + total.y) + (total.z + total.w);`)}
      return 0.0;
    }`,
  main: /* wgsl */ `
    let sum = addShares(localIndex, share(groupIndex, localIndex));
    if (localIndex == 0u && groupIndex < u.groups) { sums[u.start + groupIndex] = sum; }`,
}));

/** The root of a sum, in one workgroup. */
const rootProgram = gpuProgram({
  name: 'rootOfSum', bindings: { x: 'read f32', y: 'write f32' }, uniforms: { count: 'u32' }, workgroupSize: INVOCATIONS, declarations: ADD_SHARES,
  main: /* wgsl */ `
    var total = 0.0;
    for (var i = localIndex; i < u.count; i += ${INVOCATIONS}u) { total += x[i]; }
    let sum = addShares(localIndex, total);
    if (localIndex == 0u) { y[0] = sqrt(sum); }`,
});

/** globalNorm — √Σx² over all tensors of the list `x`, a scalar: always added in the same order; Infinity where the sum overflows. */
export function globalNorm(call: GpuKernelCall): TensorInfo {
  const { backend } = call;
  const xs = listOf(call, 'globalNorm', 'x');
  const parts = partsOf(xs, Math.min(MOST_TENSORS, backend.limits.maxStorageBuffersPerShaderStage - 1), VECTORS_PER_GROUP);
  const count = parts.reduce((sum, { groups }) => sum + groups, 0);
  const sums = backend.temporary([Math.max(1, count)]);
  let start = 0;
  for (const { places, ends, groups } of parts) {
    const tensors: Record<string, TensorInfo> = { sums };
    const uniforms: Record<string, number> = { start, groups };
    places.forEach((place, i) => {
      tensors[`x${i}`] = xs[place] as TensorInfo;
      uniforms[`end${i}`] = ends[i] as number;
      uniforms[`size${i}`] = sizeOf(xs[place] as TensorInfo);
    });
    backend.dispatch(squaresProgram(places.length), { tensors, uniforms, groups: backend.spread(groups) });
    start += groups;
  }
  const norm = backend.allocate([]);
  backend.dispatch(rootProgram, { tensors: { x: sums, y: norm }, uniforms: { count }, groups: [1] });
  return norm;
}
