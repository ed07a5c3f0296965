import { gpuProgram, memoised, type GpuBackend, type StepNumber } from '@evenkeel/core-tensor';
import { sizeOf } from '../kernels/kernel.ts';
import type { TensorInfo } from '@tensorflow/tfjs-core';
import { finishText, NO_EPILOGUE, outputBindings, type Epilogue } from './form.ts';

/** How many invocations a workgroup of `sumOfParts` has. */
const THREADS = 64;

const partsProgram = memoised((vec: boolean, epilogueKey: string) => {
  const epilogue = JSON.parse(epilogueKey) as Epilogue;
  return gpuProgram({
    name: `sumOfParts${vec ? 'Vec4' : ''}`,
    bindings: { parts: vec ? 'read vec4f' : 'read f32', ...outputBindings(vec, epilogue) },
    uniforms: { count: 'u32', parts: 'u32', n: 'u32', scale: 'f32' },
    workgroupSize: THREADS,
    declarations: finishText(vec, epilogue),
    main: [
      '  if (index >= u.count) { return; }',
      '  var sum = parts[index];',
      '  for (var part = 1u; part < u.parts; part += 1u) { sum += parts[part * u.count + index]; }',
      '  finish(sum, index, index % u.n);',
    ].join('\n'),
  });
});

/** Parts — sums in parts `parts … n`, and what the whole ones end with. */
export type Parts = {
  readonly parts: TensorInfo;
  readonly count: number;
  readonly n: number;
  readonly outputs: Readonly<Record<string, TensorInfo>>;
  readonly epilogue?: Epilogue;
  readonly scale?: number | StepNumber;
};

/** sumOfParts — adds up parts in their order, and finishes as a product would; `outputs` are the tensors of its epilogue. */
export function sumOfParts(backend: GpuBackend, { parts, count, n, outputs, epilogue = NO_EPILOGUE, scale = 1 }: Parts): void {
  const elements = sizeOf(parts) / count;
  const vec = n % 4 === 0;
  const width = vec ? 4 : 1;
  backend.dispatch(partsProgram(vec, JSON.stringify(epilogue)), {
    tensors: { parts, ...outputs },
    uniforms: { count: elements / width, parts: count, n: n / width, scale },
    groups: backend.spread(Math.ceil(elements / width / THREADS)),
  });
}

/** Rows that a workgroup of `columnSums` adds up. */
const ROWS = 512;

const columnsProgram = memoised((vec: boolean) => {
  const lanes = vec ? 'vec4f' : 'f32';
  return gpuProgram({
    name: `columnSums${vec ? 'Vec4' : ''}`,
    bindings: { x: `read ${lanes}`, y: `write ${lanes}` },
    uniforms: { rows: 'u32', columns: 'u32', blocks: 'u32', count: 'u32' },
    workgroupSize: [16, 8],
    declarations: `var<workgroup> sums: array<${lanes}, 128>;`,
    main: [
      '  if (groupIndex >= u.count) { return; }',
      '  let column = 16u * (groupIndex % u.blocks) + local.x;',
      '  let part = groupIndex / u.blocks;',
      `  let end = min(u.rows, (part + 1u) * ${ROWS}u);`,
      `  var sum = ${lanes}();`,
      `  for (var row = part * ${ROWS}u + local.y; row < end; row += 8u) { sum += x[row * u.columns + min(column, u.columns - 1u)]; }`,
      '  sums[localIndex] = sum;',
      ...[4, 2, 1].flatMap((half) => ['  workgroupBarrier();', `  if (local.y < ${half}u) { sums[localIndex] += sums[localIndex + ${16 * half}u]; }`]),
      '  if (local.y == 0u && column < u.columns) { y[part * u.columns + column] = sums[localIndex]; }',
    ].join('\n'),
  });
});

/** columnSums — the sums over the rows of x `rows columns` into y `columns`: 512 rows at a time, then over those. */
export function columnSums(backend: GpuBackend, x: TensorInfo, y: TensorInfo): void {
  const columns = sizeOf(y);
  if (columns === 0) return;
  const rows = sizeOf(x) / columns;
  const vec = columns % 4 === 0;
  const width = vec ? 4 : 1;
  const count = Math.max(1, Math.ceil(rows / ROWS));
  const blocks = Math.ceil(columns / width / 16);
  const parts = count === 1 ? y : backend.temporary([count, columns]);
  backend.dispatch(columnsProgram(vec), {
    tensors: { x, y: parts }, uniforms: { rows, columns: columns / width, blocks, count: blocks * count }, groups: backend.spread(blocks * count),
  });
  if (count > 1) sumOfParts(backend, { parts, count, n: columns, outputs: { c: y } });
}
