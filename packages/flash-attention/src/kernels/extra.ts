import { gpuProgram, type GpuBackend } from '@evenkeel/core-tensor';
import { util, type TensorInfo } from '@tensorflow/tfjs-core';
import { featuresOf } from './tiles.ts';
import { factorBinding, loader, programOf, rowsBinding, UNIFORMS } from './variant.ts';

/**
 * Small tensors go to the shaders in one binding, `extra`, so that no combination of options needs more than 8: where sequences begin, the
 * block mask, the slopes as bits. In the backward pass lse and rowsum(dy ∘ out) of every query, as pairs of bits, stand before them.
 */

const THREADS = 64;

const copy = gpuProgram({
  name: 'attentionExtra',
  bindings: { x: 'read i32', y: 'write i32' },
  uniforms: { at: 'u32', count: 'u32' },
  workgroupSize: THREADS,
  main: 'if (index < u.count) { y[u.at + index] = x[index]; }',
});

/** copyExtra — the tensors one after another into `to` from element `at` on; returns where each of them begins. */
export function copyExtra(backend: GpuBackend, tensors: readonly TensorInfo[], to: TensorInfo, at: number): number[] {
  let next = at;
  return tensors.map((x) => {
    const count = util.sizeFromShape(x.shape);
    const start = next;
    backend.dispatch(copy, { tensors: { x, y: to }, uniforms: { at: start, count }, groups: backend.spread(Math.ceil(count / THREADS)) });
    next += count;
    return start;
  });
}

/** packExtra — the tensors in one, and where each begins; nothing is copied where there is but one. */
export function packExtra(backend: GpuBackend, tensors: readonly TensorInfo[]): { extra: TensorInfo | undefined; places: number[] } {
  if (tensors.length <= 1) return { extra: tensors[0], places: [0] };
  const extra = backend.temporary([tensors.reduce((total, x) => total + util.sizeFromShape(x.shape), 0)], 'int32');
  return { extra, places: copyExtra(backend, tensors, extra, 0) };
}

/**
 * rowSumProgram — lse and rowsum(dy ∘ out) of every query into `extra`, one thread per query. Sequences that lie one after another are to it
 * one sequence. dy is rounded where it is in products, so that the gradients of a row of scores add up to 0.
 */
export const rowSumProgram = programOf((variant) => gpuProgram({
  name: 'attentionRowSums',
  bindings: { out: rowsBinding(variant, 'read'), dy: factorBinding(variant), lse: 'read f32', extra: 'write i32' },
  uniforms: UNIFORMS,
  workgroupSize: THREADS,
  enable: featuresOf(variant.tile),
  declarations: `${loader('out', variant, false)}\n${loader('dy', variant)}`,
  main: `
    if (index >= u.rowCount) { return; }
    let i = index % u.lseHead; let head = index / u.lseHead % u.heads; let batch = index / u.lseHead / u.heads;
    let at = (batch * u.lseHead + i) * u.oRow + head * ${variant.headDim}u;
    var total = vec4f();
    for (var c = 0u; c < ${Math.ceil(variant.headDim / 4)}u; c++) { total += load_out(at, c) * load_dy(at, c); }
    extra[2u * index] = bitcast<i32>(lse[index]);
    extra[2u * index + 1u] = bitcast<i32>((total.x + total.y) + (total.z + total.w));`,
}));

/** Workgroups of `rowSumProgram`. */
export const rowSumGroups = (backend: GpuBackend, rows: number): [number, number] => backend.spread(Math.ceil(rows / THREADS));

/** splitStatistics — lse, row maxima and entropies, which the forward pass writes one after another, as three tensors. */
export const splitStatistics = gpuProgram({
  name: 'attentionStatistics',
  bindings: { x: 'read f32', lse: 'write f32', rowMax: 'write f32', entropy: 'write f32' },
  uniforms: { count: 'u32' },
  workgroupSize: THREADS,
  main: `
    if (index >= u.count) { return; }
    lse[index] = x[index];
    rowMax[index] = x[u.count + index];
    entropy[index] = x[2u * u.count + index];`,
});

/** clearRows — rows that belong to no sequence, those from the last end on: `value` in their `columns`. */
export const clearRows = gpuProgram({
  name: 'attentionClearRows',
  bindings: { y: 'write f32', ends: 'read i32' },
  uniforms: { last: 'u32', rows: 'u32', columns: 'u32', rowStride: 'u32', columnStride: 'u32', value: 'f32' },
  workgroupSize: THREADS,
  main: `
    let row = index / u.columns;
    if (row >= u.rows || i32(row) < ends[u.last]) { return; }
    y[row * u.rowStride + index % u.columns * u.columnStride] = u.value;`,
});

/** clearAll — zeros. */
export const clearAll = gpuProgram({
  name: 'attentionClear', bindings: { y: 'write f32' }, uniforms: { count: 'u32' }, workgroupSize: THREADS, main: 'if (index < u.count) { y[index] = 0.0; }',
});
