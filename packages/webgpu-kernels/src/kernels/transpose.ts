import { gpuProgram, memoised, type GpuKernel, type GpuKernelCall } from '@evenkeel/core-tensor';
import { Transpose, type TensorInfo } from '@tensorflow/tfjs-core';
import { onStock } from './stock.ts';
import { axisUniforms, axisValues, copyStrided, isWord, MAX_AXES, mergeAxes, stridesOf, walk, type Axis } from './strided.ts';

/** Transpose of any rank and of every dtype that is one word on the device. Strings and complex numbers go to tfjs' kernel. */
export const transposeKernels: readonly GpuKernel[] = [{ name: Transpose, run: transpose }];

const TILE = 32;
/** Axes shorter than this are not worth a tile. */
const SHORT = 8;
const LINES = 8;

/**
 * Swaps rows of x (neighbours along `down`) with rows of y (neighbours along `across`) in tiles of 32 × 32 through workgroup
 * memory, so that both are read and written in order; the other axes are walked by their strides. One tile per workgroup, four
 * of its elements per invocation. A tile's lines are 33 long, so that no two of a column meet in one bank.
 */
const tileProgram = memoised((axes: number) => gpuProgram({
  name: 'transposeTiles', bindings: { x: 'read i32', y: 'write i32' },
  uniforms: {
    groups: 'u32', tilesDown: 'u32', tilesAcross: 'u32', down: 'u32', across: 'u32', fromStride: 'u32', toStride: 'u32', ...axisUniforms(axes, ['from', 'to']),
  },
  workgroupSize: [TILE, LINES],
  declarations: `var<workgroup> tile: array<i32, ${TILE * (TILE + 1)}>;`,
  main: /* wgsl */ `
    if (groupIndex >= u.groups) { return; }
    let tiles = u.tilesDown * u.tilesAcross;
    let place = groupIndex % tiles;
    let firstDown = (place % u.tilesDown) * ${TILE}u;
    let firstAcross = (place / u.tilesDown) * ${TILE}u;
    var rest = i32(groupIndex / tiles);
    var atX = 0;
    var atY = 0;
    ${walk(axes, [['atX', 'from'], ['atY', 'to']])}
    for (var line = local.y; line < ${TILE}u; line += ${LINES}u) {
      let atAcross = firstAcross + line;
      let atDown = firstDown + local.x;
      if (atAcross < u.across && atDown < u.down) { tile[line * ${TILE + 1}u + local.x] = x[u32(atX) + atAcross * u.fromStride + atDown]; }
    }
    workgroupBarrier();
    for (var line = local.y; line < ${TILE}u; line += ${LINES}u) {
      let atDown = firstDown + line;
      let atAcross = firstAcross + local.x;
      if (atAcross < u.across && atDown < u.down) { y[u32(atY) + atDown * u.toStride + atAcross] = tile[local.x * ${TILE + 1}u + line]; }
    }`,
}));

function transpose(call: GpuKernelCall): TensorInfo {
  const { inputs: { x }, attrs, backend } = call;
  if (!isWord(x)) return onStock(Transpose, call);
  const perm = attrs['perm'] as number[];
  const shape = perm.map((axis) => x.shape[axis] as number);
  const [from, to] = [stridesOf(x.shape), stridesOf(shape)];
  const axes = mergeAxes(shape.map((size, i) => ({ size, strides: [from[perm[i] as number] as number, to[i] as number] })));
  if (axes.length <= 1) return backend.reshaped(x, shape); // nothing moves
  if (axes.length > MAX_AXES) return onStock(Transpose, call);
  const y = backend.allocate(shape, x.dtype);
  const across = axes[axes.length - 1] as Axis;
  const down = axes.find(({ strides: [stride] }) => stride === 1);
  if (down === undefined || down === across || Math.min(down.size, across.size) < SHORT) copyStrided(backend, x, y, axes);
  else swapTiles(call, x, y, down, across, axes.filter((axis) => axis !== down && axis !== across));
  return y;
}

function swapTiles({ backend }: GpuKernelCall, x: TensorInfo, y: TensorInfo, down: Axis, across: Axis, others: readonly Axis[]): void {
  const [tilesDown, tilesAcross] = [Math.ceil(down.size / TILE), Math.ceil(across.size / TILE)];
  const groups = others.reduce((product, { size }) => product * size, tilesDown * tilesAcross);
  const uniforms = {
    groups, tilesDown, tilesAcross, down: down.size, across: across.size, fromStride: across.strides[0] as number, toStride: down.strides[1] as number,
    ...axisValues(others, ['from', 'to']),
  };
  backend.dispatch(tileProgram(others.length), { tensors: { x, y }, uniforms, groups: backend.spread(groups) });
}
