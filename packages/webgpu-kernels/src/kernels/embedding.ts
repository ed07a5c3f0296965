import { gpuProgram, memoised, type GpuKernel, type GpuKernelCall } from '@evenkeel/core-tensor';
import type { TensorInfo } from '@tensorflow/tfjs-core';
import { given, sizeOf } from './kernel.ts';
import { elementOf } from './rowPlan.ts';

/**
 * `evenkeel/embedding`: weight `v c`, ids → rows of the table; `evenkeel/embeddingGrad`: dy, ids → dweight, attrs vocabSize.
 * An id that is no row gives a row of NaN and adds to no gradient: its value is not known here to throw an error.
 */
export const embeddingKernels: readonly GpuKernel[] = [
  { name: 'evenkeel/embedding', run: embedding },
  { name: 'evenkeel/embeddingGrad', run: embeddingGrad },
];

const THREADS = 256;

/** One thread per number or vec4f of y. */
const gatherProgram = memoised((wide: boolean) => gpuProgram({
  name: 'embedding',
  bindings: { weight: `read ${elementOf(wide)}`, ids: 'read i32', y: `write ${elementOf(wide)}` },
  uniforms: { count: 'u32', units: 'u32', vocabSize: 'u32', nan: 'f32' },
  workgroupSize: THREADS,
  main: /* wgsl */ `
  if (index >= u.count) { return; }
  let id = u32(ids[index / u.units]); // one below 0 is above all others
  if (id < u.vocabSize) { y[index] = weight[id * u.units + index % u.units]; } else { y[index] = ${elementOf(wide)}(u.nan); }`,
}));

const zeroProgram = memoised((wide: boolean) => gpuProgram({
  name: 'embeddingGradZeros', bindings: { dweight: `write ${elementOf(wide)}` }, uniforms: { count: 'u32' }, workgroupSize: THREADS,
  main: `if (index < u.count) { dweight[index] = ${elementOf(wide)}(0.0); }`,
}));

/**
 * The gradient has no atomic floats: a row of dweight is written by the one workgroup whose id stands first in the list. It
 * goes on through the list, 256 ids at a time, and adds the rows of dy of the same id in their order: the same bits every time.
 * All others stop after having looked at the ids before theirs: that is n²/2 comparisons in all, a few thousandths of a step.
 * A workgroup does 256 columns (vec4fs), so that wide tables have several per id.
 */
const addProgram = memoised((wide: boolean) => gpuProgram({
  name: 'embeddingGrad',
  bindings: { ids: 'read i32', dy: `read ${elementOf(wide)}`, dweight: `write ${elementOf(wide)}` },
  uniforms: { count: 'u32', units: 'u32', vocabSize: 'u32', blocks: 'u32' },
  workgroupSize: THREADS,
  declarations: /* wgsl */ `
var<workgroup> found: atomic<u32>;
var<workgroup> isLater: u32;
var<workgroup> matches: array<atomic<u32>, ${THREADS / 32}>;`,
  main: /* wgsl */ `
  let position = groupIndex / u.blocks;
  if (position >= u.count) { return; }
  let id = ids[position];
  if (u32(id) >= u.vocabSize) { return; }
  for (var i = localIndex; i < position; i += ${THREADS}u) {
    if (ids[i] == id) { atomicStore(&found, 1u); break; }
  }
  workgroupBarrier();
  if (localIndex == 0u) { isLater = atomicLoad(&found); }
  if (workgroupUniformLoad(&isLater) == 1u) { return; }
  let column = (groupIndex % u.blocks) * ${THREADS}u + localIndex;
  var sum = ${elementOf(wide)}(0.0);
  for (var first = position; first < u.count; first += ${THREADS}u) {
    if (first + localIndex < u.count && ids[first + localIndex] == id) { atomicOr(&matches[localIndex / 32u], 1u << (localIndex % 32u)); }
    workgroupBarrier();
    for (var word = 0u; word < ${THREADS / 32}u && column < u.units; word++) {
      var bits = atomicLoad(&matches[word]);
      let base = (first + 32u * word) * u.units + column;
      while (bits != 0u) { // four rows at a time, so that four are read at once
        let bits1 = bits & (bits - 1u);
        let bits2 = bits1 & (bits1 - 1u);
        let bits3 = bits2 & (bits2 - 1u);
        let at = base + countTrailingZeros(bits) * u.units;
        let row1 = dy[select(at, base + countTrailingZeros(bits1) * u.units, bits1 != 0u)];
        let row2 = dy[select(at, base + countTrailingZeros(bits2) * u.units, bits2 != 0u)];
        let row3 = dy[select(at, base + countTrailingZeros(bits3) * u.units, bits3 != 0u)];
        sum += dy[at];
        if (bits1 != 0u) { sum += row1; }
        if (bits2 != 0u) { sum += row2; }
        if (bits3 != 0u) { sum += row3; }
        bits = bits3 & (bits3 - 1u);
      }
    }
    workgroupBarrier();
    if (localIndex < ${THREADS / 32}u) { atomicStore(&matches[localIndex], 0u); }
    workgroupBarrier();
  }
  if (column < u.units) { dweight[u32(id) * u.units + column] = sum; }`,
}));

function embedding(call: GpuKernelCall): TensorInfo {
  const { backend } = call;
  const [weight, ids] = [given(call, 'weight'), given(call, 'ids')];
  const [vocabSize, dim] = weight.shape as [number, number];
  const { wide, units } = columnsOf(dim);
  const y = backend.allocate([...ids.shape, dim]);
  const count = sizeOf(ids) * units;
  backend.dispatch(gatherProgram(wide), { tensors: { weight, ids, y }, uniforms: { count, units, vocabSize, nan: NaN }, groups: backend.spread(Math.ceil(count / THREADS)) });
  return y;
}

function embeddingGrad(call: GpuKernelCall): TensorInfo {
  const { attrs, backend } = call;
  const [dy, ids] = [given(call, 'dy'), given(call, 'ids')];
  const vocabSize = attrs.vocabSize as number;
  const dim = dy.shape.at(-1) as number;
  const { wide, units } = columnsOf(dim);
  const dweight = backend.allocate([vocabSize, dim]);
  const size = vocabSize * units;
  backend.dispatch(zeroProgram(wide), { tensors: { dweight }, uniforms: { count: size }, groups: backend.spread(Math.ceil(size / THREADS)) });
  const count = sizeOf(ids);
  const blocks = Math.ceil(units / THREADS);
  backend.dispatch(addProgram(wide), { tensors: { ids, dy, dweight }, uniforms: { count, units, vocabSize, blocks }, groups: backend.spread(count * blocks) });
  return dweight;
}

const columnsOf = (dim: number): { wide: boolean; units: number } => (dim % 4 === 0 ? { wide: true, units: dim / 4 } : { wide: false, units: dim });
