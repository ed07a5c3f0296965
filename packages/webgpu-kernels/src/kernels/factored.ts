import { gpuProgram, memoised, type GpuBinding, type GpuKernel, type GpuKernelCall, type GpuScalar } from '@evenkeel/core-tensor';
import type { TensorInfo } from '@tensorflow/tfjs-core';
import { sizeOf } from './kernel.ts';
import { eachTensor, groupsOf, listOf, numbered, numbersOf, tensorsPerLaunch } from './lists.ts';

/**
 * Second moments of matrices by rows and columns, for all parameters in few launches. The list x holds float32 tensors that are seen as
 * matrices of `attrs.columns[i]` columns.
 *
 * `evenkeel/rowColumnSquares`: x → the means of squares of every row of tensor 0, of tensor 1, …, then those of every column; plus attrs eps.
 * `evenkeel/factoredRoots`: x, row, column, `mean.0` (the mean of `row`, one number per tensor) → x / √(row · column / mean).
 */
export const factoredKernels: readonly GpuKernel[] = [
  { name: 'evenkeel/rowColumnSquares', run: rowColumnSquares },
  { name: 'evenkeel/factoredRoots', run: factoredRoots },
];

const INVOCATIONS = 256;
/** Columns that a workgroup adds up side by side, each in several parts. */
const COLUMNS = 32;

/** The uniforms of one tensor: the workgroup after its last, and its shape. */
const shapeUniforms = (count: number, more: (i: number) => Record<string, GpuScalar> = () => ({})): Record<string, GpuScalar> =>
  numbered<GpuScalar>(count, (i) => ({ [`end${i}`]: 'u32', [`rows${i}`]: 'u32', [`columns${i}`]: 'u32', ...more(i) }));

/** Adds up `width` sums that lie side by side in `parts`, pair by pair; those of lane l end in parts[l]. */
const addParts = (width: number): string => /* wgsl */ `
  var<workgroup> parts: array<f32, ${INVOCATIONS}>;
  fn addParts(localIndex: u32, part: f32) -> f32 {
    parts[localIndex] = part;
    for (var half = ${INVOCATIONS / 2}u; half >= ${width}u; half >>= 1u) {
      workgroupBarrier();
      if (localIndex < half) { parts[localIndex] += parts[localIndex + half]; }
    }
    workgroupBarrier();
    return parts[localIndex % ${width}u];
  }`;

/** One workgroup per row: the mean of its squares. Workgroups meet once, behind what differs between tensors. */
const rowsProgram = memoised((count: number) => gpuProgram({
  name: 'rowSquares',
  bindings: numbered<GpuBinding>(count, (i) => ({ [`x${i}`]: 'read f32', [`y${i}`]: 'write f32' })),
  uniforms: { eps: 'f32', ...shapeUniforms(count) },
  workgroupSize: INVOCATIONS,
  declarations: /* wgsl */ `${addParts(1)}
    fn part(groupIndex: u32, lane: u32) -> f32 {
      var sum = 0.0;
      ${eachTensor(count, (i) => /* wgsl */ `
      let start = (groupIndex - first) * u.columns${i};
      for (var c = lane; c < u.columns${i}; c += ${INVOCATIONS}u) { sum += x${i}[start + c] * x${i}[start + c]; }`)}
      return sum;
    }`,
  main: /* wgsl */ `
    let sum = addParts(localIndex, part(groupIndex, localIndex));
    if (localIndex != 0u) { return; }
    ${eachTensor(count, (i) => `y${i}[groupIndex - first] = sum / f32(u.columns${i}) + u.eps;`)}`,
}));

/** One workgroup per 32 columns: the means of their squares, each column in eight parts. */
const columnsProgram = memoised((count: number) => gpuProgram({
  name: 'columnSquares',
  bindings: numbered<GpuBinding>(count, (i) => ({ [`x${i}`]: 'read f32', [`y${i}`]: 'write f32' })),
  uniforms: { eps: 'f32', ...shapeUniforms(count) },
  workgroupSize: INVOCATIONS,
  declarations: /* wgsl */ `${addParts(COLUMNS)}
    fn part(groupIndex: u32, lane: u32) -> f32 {
      var sum = 0.0;
      ${eachTensor(count, (i) => /* wgsl */ `
      let column = (groupIndex - first) * ${COLUMNS}u + lane % ${COLUMNS}u;
      if (column < u.columns${i}) {
        for (var row = lane / ${COLUMNS}u; row < u.rows${i}; row += ${INVOCATIONS / COLUMNS}u) {
          let value = x${i}[row * u.columns${i} + column];
          sum += value * value;
        }
      }`)}
      return sum;
    }`,
  main: /* wgsl */ `
    let sum = addParts(localIndex, part(groupIndex, localIndex));
    if (localIndex >= ${COLUMNS}u) { return; }
    ${eachTensor(count, (i) => /* wgsl */ `
      let column = (groupIndex - first) * ${COLUMNS}u + localIndex;
      if (column < u.columns${i}) { y${i}[column] = sum / f32(max(1u, u.rows${i})) + u.eps; }`)}`,
}));

/** x / √(row · column / mean), one element per invocation. */
const rootsProgram = memoised((count: number) => gpuProgram({
  name: 'factoredRoots',
  bindings: { ...numbered<GpuBinding>(count, (i) => ({ [`x${i}`]: 'read f32', [`row${i}`]: 'read f32', [`column${i}`]: 'read f32', [`y${i}`]: 'write f32' })), means: 'read f32' },
  uniforms: shapeUniforms(count, (i) => ({ [`place${i}`]: 'u32' })),
  workgroupSize: INVOCATIONS,
  main: eachTensor(count, (i) => /* wgsl */ `
      let at = (groupIndex - first) * ${INVOCATIONS}u + localIndex;
      if (at < u.rows${i} * u.columns${i}) {
        y${i}[at] = x${i}[at] / (sqrt(row${i}[at / u.columns${i}] / means[u.place${i}]) * sqrt(column${i}[at % u.columns${i}]));
      }`),
}));

/** Matrix — a tensor as it is seen: rows and columns. */
type Matrix = { readonly rows: number; readonly columns: number };

const matricesOf = ({ attrs }: GpuKernelCall, xs: readonly TensorInfo[]): Matrix[] => xs.map((x, i) => {
  const columns = (attrs['columns'] as readonly number[])[i] as number;
  return { rows: columns === 0 ? 0 : sizeOf(x) / columns, columns };
});

function rowColumnSquares(call: GpuKernelCall): TensorInfo[] {
  const { attrs, backend } = call;
  const xs = listOf(call, 'rowColumnSquares', 'x');
  const matrices = matricesOf(call, xs);
  const rowMeans = matrices.map(({ rows }) => backend.allocate([rows]));
  const columnMeans = matrices.map(({ columns }) => backend.allocate([columns]));
  const eps = attrs['eps'] as number;
  launch(call, rowsProgram, matrices, ({ rows }) => rows, (i) => ({ x: xs[i] as TensorInfo, y: rowMeans[i] as TensorInfo }), { eps });
  launch(call, columnsProgram, matrices, ({ columns }) => Math.ceil(columns / COLUMNS), (i) => ({ x: xs[i] as TensorInfo, y: columnMeans[i] as TensorInfo }), { eps });
  return [...rowMeans, ...columnMeans];
}

function factoredRoots(call: GpuKernelCall): TensorInfo[] {
  const { backend } = call;
  const xs = listOf(call, 'factoredRoots', 'x');
  const matrices = matricesOf(call, xs);
  const rows = listOf(call, 'factoredRoots', 'row', matrices.map((each) => ofSize(each.rows)));
  const columns = listOf(call, 'factoredRoots', 'column', matrices.map((each) => ofSize(each.columns)));
  const means = numbersOf(call, 'factoredRoots', 'mean', xs) as TensorInfo;
  const ys = xs.map(({ shape }) => backend.allocate(shape));
  launch(call, rootsProgram, matrices, (matrix) => Math.ceil((matrix.rows * matrix.columns) / INVOCATIONS),
    (i) => ({ x: xs[i] as TensorInfo, row: rows[i] as TensorInfo, column: columns[i] as TensorInfo, y: ys[i] as TensorInfo }), {}, { means });
  return ys;
}

/** What a list must be like to have tensors of that size. */
const ofSize = (size: number): TensorInfo => ({ dataId: {}, shape: [size], dtype: 'float32' });

/** Launches a program for as many matrices at a time as can be bound; `groups`: workgroups of one matrix; `bound`: its tensors. */
function launch(
  call: GpuKernelCall, program: (count: number) => ReturnType<typeof gpuProgram>, matrices: readonly Matrix[], groups: (matrix: Matrix) => number,
  bound: (i: number) => Record<string, TensorInfo>, numbers: Record<string, number>, shared: Record<string, TensorInfo> = {},
): void {
  const each = Object.keys(matrices.length > 0 ? bound(0) : {}).length;
  for (const { places, ends, groups: all } of groupsOf(matrices.map(groups), tensorsPerLaunch(call, each, Object.keys(shared).length))) {
    const tensors: Record<string, TensorInfo> = { ...shared };
    const uniforms: Record<string, number> = { ...numbers };
    places.forEach((place, i) => {
      for (const [name, tensor] of Object.entries(bound(place))) tensors[`${name}${i}`] = tensor;
      const { rows, columns } = matrices[place] as Matrix;
      Object.assign(uniforms, { [`end${i}`]: ends[i], [`rows${i}`]: rows, [`columns${i}`]: columns, [`place${i}`]: place });
    });
    call.backend.dispatch(program(places.length), { tensors, uniforms, groups: call.backend.spread(all) });
  }
}
