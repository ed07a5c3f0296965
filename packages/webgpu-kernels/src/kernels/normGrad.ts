import { gpuProgram, memoised, type GpuKernel, type GpuKernelCall } from '@evenkeel/core-tensor';
import type { TensorInfo } from '@tensorflow/tfjs-core';
import { meanAndScale } from '../wgsl/meanAndScale.ts';
import { groupSize, rowLoop, rowStart, rowSum } from '../wgsl/rowReduce.ts';
import { given, rowsOf } from './kernel.ts';
import { elementOf, lanes, rowGroups, rowPlan } from './rowPlan.ts';

/**
 * `evenkeel/layerNormGrad`: x, weight?, dy, dsum? → [dx, dweight, dbias], attrs eps; `evenkeel/rmsNormGrad` → [dx, dweight].
 * With `dsum`, dx is that of a norm of a sum.
 */
export const normGradKernels: readonly GpuKernel[] = [
  { name: 'evenkeel/layerNormGrad', run: (call) => normGrad(call, true) },
  { name: 'evenkeel/rmsNormGrad', run: (call) => normGrad(call, false) },
];

/**
 * Row by row: dx = scale · (g − mean(g) − x̂ · mean(g · x̂)) with g = dy · weight; RMSNorm does not subtract mean(g).
 * It keeps the row's mean and scale in `stats` for the gradients of the parameters.
 */
const rowsProgram = memoised((wide: boolean, threads: number, centred: boolean, weighted: boolean, summed: boolean) => {
  const element = elementOf(wide);
  const loop = (body: string): string => rowLoop(threads, body);
  const gradient = `let normal = (x[start + i] - mean) * scale; let g = dy[start + i]${weighted ? ' * weight[i]' : ''};`;
  return gpuProgram({
    name: centred ? 'layerNormGrad' : 'rmsNormGrad',
    bindings: {
      x: `read ${element}`, dy: `read ${element}`,
      ...(weighted ? { weight: `read ${element}` } : {}), ...(summed ? { dsum: `read ${element}` } : {}),
      dx: `write ${element}`, stats: 'write vec2f',
    },
    uniforms: { rows: 'u32', units: 'u32', channels: 'f32', eps: 'f32' },
    workgroupSize: groupSize(threads),
    declarations: `${lanes(wide)}${rowSum(threads, 'rowSum')}${rowSum(threads, 'rowSums', 'vec2f')}`,
    main: /* wgsl */ `${rowStart(threads)}
    ${centred ? `var total = ${element}(0.0);
    ${loop('total += x[start + i];')}
    ${meanAndScale(threads, element, 'x[start + i]')}` : `let mean = 0.0;
    var squares = ${element}(0.0);
    ${loop('let v = x[start + i]; squares += v * v;')}
    let scale = inverseSqrt(rowSum(lanes(squares), localIndex) / u.channels + u.eps);`}
    if (lane == 0u && row < u.rows) { stats[row] = vec2f(mean, scale); }
    var sum = ${element}(0.0);
    var products = ${element}(0.0);
    ${loop(`${gradient} sum += g; products += g * normal;`)}
    let means = rowSums(vec2f(lanes(sum), lanes(products)), localIndex) / u.channels;
    ${loop(`${gradient} dx[start + i] = scale * (g${centred ? ' - means.x' : ''} - normal * means.y)${summed ? ' + dsum[start + i]' : ''};`)}`,
  });
});

const COLUMN_THREADS = 64;
/** Partial sums that are wanted at a time, so that a GPU is busy however few columns there are. */
const PARTIAL_SUMS = 2 ** 17;
const MAX_BLOCKS = 1024;

/** One thread per column and block of rows: their Σ dy · x̂ and Σ dy. */
const columnsProgram = gpuProgram({
  name: 'normGradColumns',
  bindings: { x: 'read f32', dy: 'read f32', stats: 'read vec2f', partial: 'write vec2f' },
  uniforms: { rows: 'u32', channels: 'u32', perBlock: 'u32' },
  workgroupSize: COLUMN_THREADS,
  main: /* wgsl */ `
  let column = group.x * ${COLUMN_THREADS}u + localIndex;
  if (column >= u.channels) { return; }
  let end = min((group.y + 1u) * u.perBlock, u.rows);
  var sums = vec2f(0.0);
  for (var row = group.y * u.perBlock; row < end; row++) {
    let at = row * u.channels + column;
    let gradient = dy[at];
    sums += vec2f(gradient * ((x[at] - stats[row].x) * stats[row].y), gradient);
  }
  partial[group.y * u.channels + column] = sums;`,
});

/** One thread per column: the sums over all blocks. */
const blocksProgram = memoised((centred: boolean) => gpuProgram({
  name: 'normGradBlocks',
  bindings: { partial: 'read vec2f', dweight: 'write f32', ...(centred ? { dbias: 'write f32' } : {}) },
  uniforms: { channels: 'u32', blocks: 'u32' },
  workgroupSize: COLUMN_THREADS,
  main: /* wgsl */ `
  if (index >= u.channels) { return; }
  var sums = vec2f(0.0);
  for (var block = 0u; block < u.blocks; block++) { sums += partial[block * u.channels + index]; }
  dweight[index] = sums.x;
  ${centred ? 'dbias[index] = sums.y;' : ''}`,
}));

function normGrad(call: GpuKernelCall, centred: boolean): TensorInfo[] {
  const { inputs: { weight, dsum }, attrs, backend } = call;
  const [x, dy] = [given(call, 'x'), given(call, 'dy')];
  const channels = x.shape.at(-1) as number;
  const rows = rowsOf(x);
  const plan = rowPlan(channels);
  const { wide, units, threads } = plan;
  const dx = backend.allocate(x.shape);
  const stats = backend.temporary([rows, 2]);
  backend.dispatch(rowsProgram(wide, threads, centred, weight !== undefined, dsum !== undefined), {
    tensors: { x, dy, dx, stats, ...(weight === undefined ? {} : { weight }), ...(dsum === undefined ? {} : { dsum }) },
    uniforms: { rows, units, channels, eps: attrs.eps as number }, groups: rowGroups(backend, rows, plan),
  });
  const perBlock = Math.max(8, Math.ceil(rows / Math.min(MAX_BLOCKS, Math.ceil(PARTIAL_SUMS / Math.max(channels, 1)))));
  const blocks = Math.ceil(rows / perBlock);
  const partial = backend.temporary([blocks, channels, 2]);
  const columnGroups = Math.ceil(channels / COLUMN_THREADS);
  backend.dispatch(columnsProgram, { tensors: { x, dy, stats, partial }, uniforms: { rows, channels, perBlock }, groups: [columnGroups, blocks] });
  const dweight = backend.allocate([channels]);
  const rest: Record<string, TensorInfo> = centred ? { dbias: backend.allocate([channels]) } : {};
  backend.dispatch(blocksProgram(centred), { tensors: { partial, dweight, ...rest }, uniforms: { channels, blocks }, groups: [columnGroups] });
  return [dx, dweight, ...Object.values(rest)];
}
