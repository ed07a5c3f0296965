import { gpuProgram, memoised, UNIFORM_BYTES, type GpuBinding, type GpuKernel, type GpuKernelCall, type GpuScalar } from '@evenkeel/core-tensor';
import type { TensorInfo } from '@tensorflow/tfjs-core';
import { sizeOf } from './kernel.ts';
import { eachTensor, listOf, numbered, numbersOf, partsOf, tensorsPerLaunch } from './lists.ts';

/**
 * Sums over whole tensors of the list x, float32; always added in the same order.
 *
 * `evenkeel/globalNorm`: √Σx² over all of them, a scalar; Infinity where the sum overflows.
 * `evenkeel/means`: the mean of each; `evenkeel/meanSquares`: the mean of (x − centre)², with `centre.0`: one number per tensor, or 0.
 * With `unless.0`, one number per tensor, those of which it is not 0 are not read, and have the mean 0, as empty ones have.
 */
export const listSumKernels: readonly GpuKernel[] = [
  { name: 'evenkeel/globalNorm', run: globalNorm },
  { name: 'evenkeel/means', run: (call) => means(call, 'means') },
  { name: 'evenkeel/meanSquares', run: (call) => means(call, 'meanSquares') },
];

const INVOCATIONS = 256;
/** Vectors that each invocation squares and adds one after the other: bounds the rounding error of long sums. */
const VECTORS_EACH = 16;
const VECTORS_PER_GROUP = INVOCATIONS * VECTORS_EACH;
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

/** SharesForm — what is added up: x, or (x − centre)² with the centres of the tensors or 0; `unless`: whether tensors may be left out. */
type SharesForm = { readonly power: 1 | 2; readonly centre: boolean; readonly unless: boolean };

/**
 * The sum of 16,384 elements per workgroup, of `count` tensors; one number per workgroup goes to `sums`, from u.start on.
 * Workgroups meet once, behind what differs between tensors: barriers in each branch would take drivers long to compile.
 */
const sharesProgram = memoised((count: number, power: 1 | 2, centre: boolean, unless: boolean) => gpuProgram({
  name: power === 2 ? 'squares' : 'shares',
  bindings: {
    ...numbered<GpuBinding>(count, (i) => ({ [`x${i}`]: 'read vec4f' })), ...(centre && { centres: 'read f32' }), ...(unless && { left: 'read f32' }), sums: 'write f32',
  },
  uniforms: { start: 'u32', groups: 'u32', ...numbered<GpuScalar>(count, (i) => ({ [`end${i}`]: 'u32', [`size${i}`]: 'u32', [`place${i}`]: 'u32' })) },
  workgroupSize: INVOCATIONS,
  declarations: /* wgsl */ `
    ${ADD_SHARES}
    /** Summands of x without those at or beyond the end of the tensor: garbage, maybe NaN. */
    fn summands(x: vec4f, first: u32, size: u32) -> vec4f {
      return select(vec4f(0.0), ${power === 2 ? 'x * x' : 'x'}, vec4u(first) + vec4u(0u, 1u, 2u, 3u) < vec4u(size));
    }
    fn share(groupIndex: u32, localIndex: u32) -> f32 {
      var total = vec4f(0.0);
      ${eachTensor(count, (i) => /* wgsl */ `
      ${unless ? `if (left[u.place${i}] != 0.0) { return 0.0; }` : ''}
      var at = (groupIndex - first) * ${VECTORS_PER_GROUP}u + localIndex;
      for (var k = 0u; k < ${VECTORS_EACH}u && 4u * at < u.size${i}; k++) {
        total += summands(x${i}[at]${centre ? ` - vec4f(centres[u.place${i}])` : ''}, 4u * at, u.size${i});
        at += ${INVOCATIONS}u;
      }
      return (total.x + total.y) + (total.z + total.w);`)}
      return 0.0;
    }`,
  main: /* wgsl */ `
    let sum = addShares(localIndex, share(groupIndex, localIndex));
    if (localIndex == 0u && groupIndex < u.groups) { sums[u.start + groupIndex] = sum; }`,
}));

/** sharesOf — sums of 16,384 elements each, all of tensor 0, then all of tensor 1, …; `counts`: how many of each. */
function sharesOf(call: GpuKernelCall, xs: readonly TensorInfo[], { power, centre, unless }: SharesForm, shared: Readonly<Record<string, TensorInfo>> = {}): { sums: TensorInfo; counts: number[] } {
  const { backend } = call;
  const counts = xs.map((x) => Math.ceil(sizeOf(x) / (4 * VECTORS_PER_GROUP)));
  const sums = backend.temporary([Math.max(1, total(counts))]);
  let start = 0;
  for (const { places, ends, groups } of partsOf(xs, tensorsPerLaunch(call, 1, 1 + Object.keys(shared).length), VECTORS_PER_GROUP)) {
    const tensors: Record<string, TensorInfo> = { sums, ...shared };
    const uniforms: Record<string, number> = { start, groups };
    places.forEach((place, i) => {
      tensors[`x${i}`] = xs[place] as TensorInfo;
      Object.assign(uniforms, { [`end${i}`]: ends[i], [`size${i}`]: sizeOf(xs[place] as TensorInfo), [`place${i}`]: place });
    });
    backend.dispatch(sharesProgram(places.length, power, centre, unless), { tensors, uniforms, groups: backend.spread(groups) });
    start += groups;
  }
  return { sums, counts };
}

const total = (counts: readonly number[]): number => counts.reduce((sum, count) => sum + count, 0);

/** The root of a sum, in one workgroup. */
const rootProgram = gpuProgram({
  name: 'rootOfSum', bindings: { x: 'read f32', y: 'write f32' }, uniforms: { count: 'u32' }, workgroupSize: INVOCATIONS, declarations: ADD_SHARES,
  main: /* wgsl */ `
    var total = 0.0;
    for (var i = localIndex; i < u.count; i += ${INVOCATIONS}u) { total += x[i]; }
    let sum = addShares(localIndex, total);
    if (localIndex == 0u) { y[0] = sqrt(sum); }`,
});

function globalNorm(call: GpuKernelCall): TensorInfo {
  const { backend } = call;
  const { sums, counts } = sharesOf(call, listOf(call, 'globalNorm', 'x'), { power: 2, centre: false, unless: false });
  const norm = backend.allocate([]);
  backend.dispatch(rootProgram, { tensors: { x: sums, y: norm }, uniforms: { count: total(counts) }, groups: [1] });
  return norm;
}

/** Means of one launch: what its uniforms have room for. */
const MEANS_PER_LAUNCH = Math.floor((UNIFORM_BYTES / 4 - 2) / 2);

/** One workgroup per tensor: the sum of its shares over its size. Tensors follow each other, from share u.start on. */
const meansProgram = gpuProgram({
  name: 'means', bindings: { shares: 'read f32', y: 'write f32' }, workgroupSize: 64,
  uniforms: { start: 'u32', place: 'u32', ...numbered<GpuScalar>(MEANS_PER_LAUNCH, (i) => ({ [`count${i}`]: 'u32', [`size${i}`]: 'u32' })) },
  declarations: /* wgsl */ `
    const MOST = ${MEANS_PER_LAUNCH};
    var<workgroup> parts: array<f32, 64>;`,
  main: /* wgsl */ `
    let counts = array<u32, MOST>(${Array.from({ length: MEANS_PER_LAUNCH }, (_, i) => `u.count${i}`).join(', ')});
    let sizes = array<u32, MOST>(${Array.from({ length: MEANS_PER_LAUNCH }, (_, i) => `u.size${i}`).join(', ')});
    var first = u.start;
    for (var i = 0u; i < groupIndex; i++) { first += counts[i]; }
    var sum = 0.0;
    for (var i = localIndex; i < counts[groupIndex]; i += 64u) { sum += shares[first + i]; }
    parts[localIndex] = sum;
    for (var half = 32u; half > 0u; half >>= 1u) {
      workgroupBarrier();
      if (localIndex < half) { parts[localIndex] += parts[localIndex + half]; }
    }
    if (localIndex == 0u) { y[u.place + groupIndex] = parts[0] / f32(max(1u, sizes[groupIndex])); }`,
});

function means(call: GpuKernelCall, fn: 'means' | 'meanSquares'): TensorInfo {
  const { backend } = call;
  const xs = listOf(call, fn, 'x');
  const [centres, left] = [numbersOf(call, fn, 'centre', xs), numbersOf(call, fn, 'unless', xs)];
  const form: SharesForm = { power: fn === 'means' ? 1 : 2, centre: centres !== undefined, unless: left !== undefined };
  const { sums, counts } = sharesOf(call, xs, form, { ...(centres && { centres }), ...(left && { left }) });
  const y = backend.allocate([xs.length]);
  for (let place = 0; place < xs.length; place += MEANS_PER_LAUNCH) {
    const here = xs.slice(place, place + MEANS_PER_LAUNCH);
    const uniforms: Record<string, number> = { place, start: total(counts.slice(0, place)) };
    for (let i = 0; i < MEANS_PER_LAUNCH; i++) {
      Object.assign(uniforms, { [`count${i}`]: counts[place + i] ?? 0, [`size${i}`]: i < here.length ? sizeOf(here[i] as TensorInfo) : 0 });
    }
    backend.dispatch(meansProgram, { tensors: { shares: sums, y }, uniforms, groups: [here.length] });
  }
  return y;
}
