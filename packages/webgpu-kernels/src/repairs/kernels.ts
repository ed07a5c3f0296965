import { util, type KernelBackend, type KernelConfig, type KernelFunc, type TensorInfo } from '@tensorflow/tfjs-core';

/** The axes that tfjs' programs for tile, pad and where can count. */
const MAX_RANK = 4;

type Stock = (inputs: Record<string, TensorInfo>, attrs?: object) => TensorInfo;
type Repaired = (call: { inputs: Record<string, TensorInfo>; attrs: Record<string, unknown>; backend: KernelBackend; stock: Stock }) => TensorInfo;

const REPAIRED: Readonly<Record<string, Repaired>> = {
  /** Stock: beyond rank 4 it reads the tensor synchronously and computes on the CPU. */
  Tile: ({ inputs: { x }, attrs, backend, stock }) => axisByAxis(x as TensorInfo, backend, (x3, axis) => {
    const times = (attrs['reps'] as number[])[axis] as number;
    return times === 1 ? undefined : stock({ x: x3 }, { reps: [1, times, 1] });
  }),
  /** Stock: beyond rank 4 the shader does not compile. */
  PadV2: ({ inputs: { x }, attrs, backend, stock }) => axisByAxis(x as TensorInfo, backend, (x3, axis) => {
    const [before, after] = (attrs['paddings'] as [number, number][])[axis] as [number, number];
    const paddings = [[0, 0], [before, after], [0, 0]];
    return before + after === 0 ? undefined : stock({ x: x3 }, { paddings, constantValue: attrs['constantValue'] });
  }),
  /** Stock: beyond rank 4 it throws. The three inputs have one shape there, and the order of elements does not matter. */
  Select: ({ inputs: { condition, t, e }, stock }) => {
    const flat = (x: TensorInfo): TensorInfo => ({ ...x, shape: [util.sizeFromShape(x.shape)] });
    return { ...stock({ condition: flat(condition as TensorInfo), t: flat(t as TensorInfo), e: flat(e as TensorInfo) }), shape: (t as TensorInfo).shape };
  },
};

/** repairedKernel — a kernel of tfjs-backend-webgpu, or one in front of it that can do what it cannot; the rest still goes to tfjs'. */
export function repairedKernel(original: KernelConfig): KernelConfig {
  const repaired = REPAIRED[original.kernelName];
  if (repaired === undefined) return original;
  const kernelFunc: KernelFunc = (call) => {
    const inputs = call.inputs as Record<string, TensorInfo>;
    const isStock = Object.values(inputs).every(({ shape, dtype }) => shape.length <= MAX_RANK || dtype === 'string');
    const stock: Stock = (stockInputs, attrs = {}) => original.kernelFunc({ inputs: stockInputs, backend: call.backend, attrs: attrs as never }) as TensorInfo;
    return isStock ? original.kernelFunc(call) : repaired({ inputs, attrs: call.attrs ?? {}, backend: call.backend as KernelBackend, stock });
  };
  return { ...original, kernelFunc };
}

/** Applies `step` to one axis after the other, each time to the same data seen as `outer axis inner`; undefined leaves it. */
function axisByAxis(x: TensorInfo, backend: KernelBackend, step: (x3: TensorInfo, axis: number) => TensorInfo | undefined): TensorInfo {
  const shape = [...x.shape];
  let current = x;
  for (const axis of shape.keys()) {
    const x3 = [util.sizeFromShape(shape.slice(0, axis)), shape[axis] as number, util.sizeFromShape(shape.slice(axis + 1))];
    const next = step({ ...current, shape: x3 }, axis);
    if (next === undefined) continue;
    if (current !== x) backend.disposeData(current.dataId);
    shape[axis] = next.shape[1] as number;
    current = next;
  }
  if (current === x) backend.incRef(x.dataId);
  return { dataId: current.dataId, shape, dtype: x.dtype };
}
