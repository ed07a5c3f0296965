import type { BackendValues, DataId, DataStorage, GPUData, KernelBackend, TensorInfo, DataType } from '@tensorflow/tfjs-core';
import { WebGPUBackend, type WebGPUProgram } from '@tensorflow/tfjs-backend-webgpu';
import type { StockUniform } from './stockUniforms.ts';

export type TensorData = {
  values: BackendValues | null | undefined;
  dtype: DataType;
  shape: number[];
  refCount: number;
  resource?: GPUBuffer | GPUTexture | GPUExternalTexture | null;
  /** How often kernels of ours wrote into it: a reading under way is stale if this has changed. */
  writes?: number;
  complexTensorInfos?: { real: TensorInfo; imag: TensorInfo };
};

/** StockBackend — what this package uses of tfjs-backend-webgpu 4.22's class, including what its types hide. */
export type StockBackend = KernelBackend & {
  readonly device: GPUDevice;
  readonly queue: GPUQueue;
  readonly tensorMap: DataStorage<TensorData>;
  bufferManager: unknown;
  commandEncoder: GPUCommandEncoder | null;
  computePassEncoder: GPUComputePassEncoder | null;
  readonly activeTimers: unknown;
  ensureCommandEncoderReady(): void;
  endComputePassEncoder(): void;
  submitQueue(): void;
  uploadToGPU(dataId: DataId): void;
  makeTensorInfo(shape: number[], dtype: DataType): TensorInfo;
  disposeData(dataId: DataId, force?: boolean): boolean;
  incRef(dataId: DataId): void;
  refCount(dataId: DataId): number;
  memory(): { numBytesInGPU: number; numBytesAllocatedInGPU: number; unreliable: boolean };
  runWebGPUProgram(program: WebGPUProgram, inputs: TensorInfo[], dtype: DataType, uniforms?: StockUniform[], output?: TensorInfo): TensorInfo;
  recordAndSubmit(program: WebGPUProgram, output: TensorInfo, inputs: TensorInfo[], uniforms?: StockUniform[]): void;
  read(dataId: DataId): Promise<BackendValues>;
  readSync(dataId: DataId): BackendValues;
  readToGPU(dataId: DataId): GPUData;
};

export const StockBackend = WebGPUBackend as unknown as new (device: GPUDevice, info: GPUAdapterInfo) => StockBackend;
