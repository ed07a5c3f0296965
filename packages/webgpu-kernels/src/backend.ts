import { describeShape, UnsupportedError } from '@evenkeel/core-tensor';
import { env, util, type BackendValues, type DataId, type GPUData, type TensorInfo } from '@tensorflow/tfjs-core';
import { WebGPUBackend } from '@tensorflow/tfjs-backend-webgpu';
import type { DeviceWatch } from './deviceWatch.ts';
import { repairProgram } from './repairs/programs.ts';

type RunArguments = Parameters<WebGPUBackend['runWebGPUProgram']>;

/**
 * EvenkeelWebgpuBackend — tfjs' WebGPU backend on a device of our own, with errors that are heard: an operation or a reading
 * after (in Node: at) the first error of the device throws it, where tfjs alone would hand out zeros.
 */
export class EvenkeelWebgpuBackend extends WebGPUBackend {
  readonly #watch: DeviceWatch;

  constructor(device: GPUDevice, info: GPUAdapterInfo, watch: DeviceWatch) {
    super(device, info);
    this.#watch = watch;
    // Small tensors are computed where all others are: the CPU kernels behind this flag would bake their values into programs.
    env().set('WEBGPU_CPU_FORWARD', false);
  }

  /** Whether nothing has gone wrong on the device. */
  get isWorking(): boolean {
    return this.#watch.failure() === undefined;
  }

  override runWebGPUProgram(...args: RunArguments): TensorInfo {
    const [program, inputs, , , output] = args;
    const name = programName(program);
    [...inputs, { shape: program.outputShape }].forEach(({ shape }) => this.#checkSize(name, shape));
    repairProgram(program, () => (inputs[0] === undefined ? undefined : this.tensorMap.get(inputs[0].dataId).dtype));
    const result = this.#watch.during(name, () => super.runWebGPUProgram(...args));
    if (!this.isWorking && output === undefined) this.disposeData(result.dataId);
    this.#watch.check();
    return result;
  }

  override async read(dataId: DataId): Promise<BackendValues> {
    this.#watch.check();
    let values: BackendValues;
    try {
      values = await super.read(dataId);
    } catch (error) {
      await new Promise((resolve) => setTimeout(resolve)); // the event that tells the cause may be on its way
      this.#watch.check();
      throw new UnsupportedError(`webgpu: a tensor must be readable, got ${error instanceof Error ? `${error.name} ${error.message}`.trim() : String(error)}`);
    }
    this.#watch.check();
    return values;
  }

  override readSync(dataId: DataId): BackendValues {
    this.#watch.check();
    const { values, dtype } = this.tensorMap.get(dataId);
    if ((values ?? null) === null && dtype !== 'complex64' && typeof OffscreenCanvas === 'undefined') {
      throw new UnsupportedError('webgpu: values on the GPU must be read with `await tensor.data()`, got a synchronous reading, which needs a canvas');
    }
    return super.readSync(dataId);
  }

  override readToGPU(dataId: DataId): GPUData {
    this.#watch.check();
    return super.readToGPU(dataId);
  }

  override dispose(): void {
    this.#watch.close();
    super.dispose();
    this.device.destroy();
  }

  /** Refuses what the device cannot bind, before anything is made for it. */
  #checkSize(name: string, shape: readonly number[]): void {
    const { maxBufferSize, maxStorageBufferBindingSize } = this.device.limits;
    const limit = Math.min(maxBufferSize, maxStorageBufferBindingSize);
    const bytes = 4 * util.sizeFromShape(shape as number[]);
    if (bytes > limit) {
      throw new UnsupportedError(`webgpu: a tensor must have at most ${limit} bytes on this device, got ${bytes} for ${describeShape(shape)} in ${name}`);
    }
  }
}

/** `MatMulPackedProgram`: tfjs names a program by its class; one written as a plain object has its key only. */
function programName(program: RunArguments[0]): string {
  const { name } = program.constructor;
  return name === 'Object' ? program.shaderKey : name;
}
