import { getKernel, registerKernel, type DataType, type TensorInfo } from '@tensorflow/tfjs-core';
import type { StepNumber } from '../step.ts';
import type { GpuFeature, GpuProgram } from './program.ts';

/** GPU_BACKEND — the tfjs name of the backend that `GpuKernel`s run on: `webgpu()` of @evenkeel/webgpu-kernels. */
export const GPU_BACKEND = 'evenkeel-webgpu';

/** GpuDispatch — one launch of a program. */
export type GpuDispatch = {
  /** A tensor for each binding, by name. One that is bound to `write` must not be bound a second time. */
  readonly tensors: Readonly<Record<string, TensorInfo>>;
  /** A number for each uniform, by name. */
  readonly uniforms?: Readonly<Record<string, number | StepNumber>>;
  /** Workgroups along x, y and z; nothing runs if one is 0. `spread(count)` for a plain number of them. */
  readonly groups: readonly [x: number, y?: number, z?: number];
};

/** GpuBackend — what a kernel may use of the WebGPU backend. */
export type GpuBackend = {
  /**
   * Runs a program, in order with everything else on the device. Errors of the device are thrown with the program's name. What is bound as
   * `f32` (or a vector of it) must be float32; int32 and bool tensors are bound as `i32`, anything as `u32`.
   */
  dispatch(program: GpuProgram, launch: GpuDispatch): void;
  /** A new tensor with undefined values, to be written by a program and returned. */
  allocate(shape: readonly number[], dtype?: DataType): TensorInfo;
  /** A new tensor that is freed when the kernel returns. */
  temporary(shape: readonly number[], dtype?: DataType): TensorInfo;
  /**
   * Numbers that a kernel brings along, such as a table of angles: `values` begins at element `first` of `tensor`. Kept on the device
   * for as long as it is among the last that were asked for, by the identity of its ArrayBuffer, which must not change any more.
   */
  constant(values: Float32Array): { readonly tensor: TensorInfo; readonly first: number };
  /** The same values under another shape; to be returned beside or instead of `x`. */
  reshaped(x: TensorInfo, shape: readonly number[]): TensorInfo;
  /** Workgroups along x and y that are at least `count` together: x alone where it may be as large. Programs check `groupIndex`. */
  spread(count: number): [x: number, y: number];
  /** Which of several ways to compute the same is used here: see GpuChoice. */
  choose(choice: GpuChoice): string;
  readonly features: ReadonlySet<GpuFeature>;
  /** Lanes of a subgroup, where the device has subgroups and they are all of one size. */
  readonly subgroupSize: number | undefined;
  /** What factors of products are rounded to; sums are f32. `f16` only where the features have it. */
  readonly precision: GpuPrecision;
  readonly limits: GPUSupportedLimitsLike;
  /** Whether the adapter emulates a GPU on the CPU, which has no use for workgroup memory. */
  readonly isSoftware: boolean;
};

/** GpuPrecision — `f16`: 11 bits, numbers from 6e-8 to 65504. */
export type GpuPrecision = 'f32' | 'f16';

/**
 * GpuChoice — ways to compute the same, of which the backend takes one: the one that was forced, else the one that tuning found
 * fastest for this class on this adapter, else the first. The answer for a class changes only when somebody tunes.
 */
export type GpuChoice = {
  /** What there are several ways for, such as `matMul`: the name under which one can be forced. */
  readonly family: string;
  /** To be raised when the ways change, so that what was found for the old ones is forgotten. */
  readonly version: number;
  /** The class of the call: calls with the same key are timed as one. */
  readonly key: string;
  /** The ways that can compute this call, by name; first the one to take where nothing was timed. */
  readonly candidates: readonly string[];
  /** Runs one of them on temporary tensors of the same sizes, to be timed. It may be called long after, and must hold no tensors. */
  readonly trial: (candidate: string) => void;
};

/** The limits that kernels choose tiles by. */
export type GPUSupportedLimitsLike = {
  readonly maxComputeInvocationsPerWorkgroup: number;
  readonly maxComputeWorkgroupSizeX: number;
  readonly maxComputeWorkgroupStorageSize: number;
  readonly maxComputeWorkgroupsPerDimension: number;
  readonly maxStorageBuffersPerShaderStage: number;
  readonly maxStorageBufferBindingSize: number;
};

export type GpuKernelCall = {
  readonly inputs: Readonly<Record<string, TensorInfo | undefined>>;
  readonly attrs: Readonly<Record<string, unknown>>;
  readonly backend: GpuBackend;
};

/** GpuKernel — a kernel of a fused op (or of a tfjs op) for the WebGPU backend, made of dispatches. */
export type GpuKernel = { readonly name: string; readonly run: (call: GpuKernelCall) => TensorInfo | TensorInfo[] };

/**
 * registerGpuKernels — makes kernels known to the WebGPU backend, which need not be there yet: a package that has a technique
 * registers its own where it defines the op, and imports no backend. A name that is registered already stays as it is.
 */
export function registerGpuKernels(kernels: readonly GpuKernel[]): void {
  for (const { name, run } of kernels) {
    if (getKernel(name, GPU_BACKEND) !== undefined) continue;
    registerKernel({
      kernelName: name,
      backendName: GPU_BACKEND,
      kernelFunc: ({ inputs, attrs = {}, backend }) => {
        const gpu = backend as unknown as GpuBackend & { kernelCall<R>(name: string, f: () => R): R };
        return gpu.kernelCall(name, () => run({ inputs, attrs, backend: gpu }));
      },
    });
  }
}
