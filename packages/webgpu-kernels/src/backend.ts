import {
  ConfigError, describeShape, UNIFORM_BYTES, UnsupportedError, type GpuBackend, type GpuChoice, type GpuDispatch, type GpuFeature, type GpuPrecision, type GpuProgram,
  type KernelTuning, type StepCaptureCore,
} from '@evenkeel/core-tensor';
import { env, util, type BackendValues, type DataId, type DataType, type GPUData, type TensorInfo } from '@tensorflow/tfjs-core';
import type { WebGPUProgram } from '@tensorflow/tfjs-backend-webgpu';
import { BindGroups, type Bound } from './bindGroups.ts';
import { BufferPool } from './bufferPool.ts';
import { describeTensor, launchOf, swapBuffers } from './capture/host.ts';
import { StepCapture } from './capture/stepCapture.ts';
import { hashOf, type Trace } from './capture/trace.ts';
import { Constants } from './constants.ts';
import type { DeviceWatch } from './deviceWatch.ts';
import { castProgram } from './kernels/cast.ts';
import { overVectors } from './kernels/elementwise.ts';
import { checkBound, checkSize, checkWrites, limitsOf, type DeviceLimits } from './limits.ts';
import { Pipelines } from './pipelines.ts';
import { Profiler, type Profile } from './profiler.ts';
import { checkOnCpu, readBack } from './readBack.ts';
import { repairProgram } from './repairs/programs.ts';
import { StockBackend } from './stockBackend.ts';
import { programName, stockUniforms, type StockUniform } from './stockUniforms.ts';
import { createTuner, wallClock, type Tuner, type TunerParts } from './tuner.ts';
import { writeUniforms } from './uniforms.ts';
import { wordsOf } from './words.ts';

/** Launches after which the commands recorded so far are handed to the device, which works while more are recorded. */
const BATCH_SIZE = 64;
const STORAGE = 0x80 | 0x4 | 0x8; // STORAGE, COPY_SRC and COPY_DST of GPUBufferUsage

/** BackendParts — the device and its adapter, and what tuning needs of them. */
export type BackendParts = {
  readonly device: GPUDevice;
  readonly info: GPUAdapterInfo;
  readonly watch: DeviceWatch;
  readonly isSoftware: boolean;
  readonly precision: GpuPrecision;
  readonly tuning: Omit<TunerParts, 'time'>;
};

/**
 * EvenkeelWebgpuBackend — tfjs' WebGPU backend on a device of our own. Programs with several outputs, in place or with
 * features of the device run through `dispatch`; errors are heard: an operation or a reading after (in Node: at) the first
 * error of the device throws it, where tfjs alone would hand out zeros.
 */
export class EvenkeelWebgpuBackend extends StockBackend implements GpuBackend {
  readonly features: ReadonlySet<GpuFeature>;
  readonly limits: DeviceLimits;
  readonly pool: BufferPool;
  readonly pipelines: Pipelines;
  /** The step that is being recorded instead of run. */
  trace: Trace | undefined;
  profiler: Profiler | undefined;
  /** Values that captured steps keep alive, and for how many. */
  readonly held = new Map<DataId, number>();
  readonly isSoftware: boolean;
  readonly subgroupSize: number | undefined;
  readonly precision: GpuPrecision;
  readonly tuner: Tuner;
  /** For those who train: undefined unless kernels are chosen by what tuning finds. */
  readonly kernelTuning: KernelTuning | undefined;
  readonly #watch: DeviceWatch;
  readonly #constants = new Constants();
  readonly #bindGroups: BindGroups;
  /** Uniforms of the launch that is being recorded. */
  readonly #integers = new Int32Array(UNIFORM_BYTES / 4);
  readonly #floats = new Float32Array(this.#integers.buffer);
  #launches = 0;
  /** What the kernel that is running has made. */
  #call: { readonly name: string; readonly made: TensorInfo[]; readonly temporaries: TensorInfo[] } | undefined;

  constructor({ device, info, watch, isSoftware, precision, tuning }: BackendParts) {
    super(device, info);
    this.isSoftware = isSoftware;
    this.precision = precision;
    this.tuner = createTuner({ ...tuning, time: (f, repeats) => wallClock(this, f, repeats) });
    this.kernelTuning = tuning.tuning === 'auto' ? this.tuner : undefined;
    this.#watch = watch;
    this.limits = limitsOf(device);
    this.features = new Set<GpuFeature>([
      ...(device.features.has('shader-f16') ? ['f16' as const] : []), ...(device.features.has('subgroups') ? ['subgroups' as const] : []),
    ]);
    this.subgroupSize = this.features.has('subgroups') && info.subgroupMinSize === info.subgroupMaxSize ? info.subgroupMaxSize : undefined;
    this.pipelines = new Pipelines(device, watch);
    this.bufferManager = this.pool = new BufferPool({ limits: device.limits, createBuffer: watch.createBuffer }, { handOver: () => this.#handOver(), onDestroy: () => this.#bindGroups.forget() });
    this.#bindGroups = new BindGroups(device, this.pool);
    // Small tensors are computed where all others are: the CPU kernels behind this flag would bake their values into programs.
    env().set('WEBGPU_CPU_FORWARD', false);
  }

  /** Whether nothing has gone wrong on the device. */
  get isWorking(): boolean {
    return this.#watch.failure() === undefined;
  }

  dispatch(program: GpuProgram, { tensors, uniforms = {}, groups: [x, y = 1, z = 1] }: GpuDispatch): void {
    const { name } = program;
    this.#watch.check();
    if (x * y * z === 0) return;
    const most = this.limits.maxComputeWorkgroupsPerDimension;
    if (Math.max(x, y, z) > most) throw new UnsupportedError(`webgpu: ${name} must have at most ${most} workgroups per axis on this device, got ${x}, ${y}, ${z}`);
    this.#watch.during(name, () => {
      const buffers = this.#buffersOf(program, tensors);
      if (this.trace !== undefined) return this.trace.add(launchOf(this, program, { buffers, uniforms, groups: [x, y, z], gate: this.trace.gateNow }));
      const { pipeline, layout } = this.pipelines.get(program);
      writeUniforms(program, uniforms, this.#floats, this.#integers, 0);
      this.#launch(name, pipeline, { layout, buffers, uniforms: this.#integers, words: program.uniforms.length }, [x, y, z]);
    });
    this.#watch.check(name);
  }

  allocate(shape: readonly number[], dtype: DataType = 'float32'): TensorInfo {
    checkSize(this.limits, this.#call?.name ?? 'a kernel', shape);
    const info = this.makeTensorInfo(shape as number[], dtype);
    this.#call?.made.push(info);
    return info;
  }

  temporary(shape: readonly number[], dtype: DataType = 'float32'): TensorInfo {
    const info = this.allocate(shape, dtype);
    this.#call?.temporaries.push(info);
    return info;
  }

  constant(values: Float32Array): { tensor: TensorInfo; first: number } {
    const make = (all: Float32Array): TensorInfo => {
      checkSize(this.limits, 'a kernel', [all.length]);
      const info = this.makeTensorInfo([all.length], 'float32');
      this.tensorMap.get(info.dataId).values = all;
      return info;
    };
    return { tensor: this.#constants.get(values.buffer, make, ({ dataId }) => this.disposeData(dataId)), first: values.byteOffset / 4 };
  }

  /** Of callers: without the constants of kernels. */
  override numDataIds(): number {
    return super.numDataIds() - this.#constants.size;
  }

  reshaped({ dataId, dtype }: TensorInfo, shape: readonly number[]): TensorInfo {
    this.incRef(dataId);
    return { dataId, dtype, shape: shape as number[] };
  }

  spread(count: number): [x: number, y: number] {
    const most = this.limits.maxComputeWorkgroupsPerDimension;
    const y = Math.max(1, Math.ceil(count / most));
    return [Math.ceil(count / y), y];
  }

  choose(choice: GpuChoice): string {
    return this.tuner.choose(choice);
  }

  /** kernelCall — runs a kernel: its temporaries are freed afterwards, and all that it made if it throws. */
  kernelCall<R>(name: string, f: () => R): R {
    const outer = this.#call;
    const call = this.#call = { name, made: [], temporaries: [] };
    let unneeded: readonly TensorInfo[] = call.made;
    try {
      const result = f();
      unneeded = call.temporaries;
      return result;
    } finally {
      this.#call = outer;
      for (const { dataId } of unneeded) this.disposeData(dataId);
    }
  }

  /** flush — hands the commands recorded so far to the device. */
  flush(): void {
    if (this.commandEncoder === null) return;
    this.endComputePassEncoder();
    this.submitQueue();
  }

  /**
   * profile — from now on measures what the device spends in each program, until `stop` tells it. Each launch then runs in a pass
   * of its own, so all together takes longer than without.
   *
   * @throws UnsupportedError  if the device lacks the feature `timestamp-query`.
   * @throws ConfigError       if a profile is on already.
   */
  profile(): Profile {
    this.#watch.check();
    if (this.profiler !== undefined) throw new ConfigError('profile: the profile before must have been stopped, got one that is still on');
    this.flush();
    this.profiler = new Profiler(this.device, (record) => {
      this.ensureCommandEncoderReady();
      this.endComputePassEncoder();
      record(this.commandEncoder as GPUCommandEncoder);
      this.flush();
    }, () => this.#watch.check());
    return this.profiler.profile(() => { this.profiler = undefined; });
  }

  override submitQueue(): void {
    this.#bindGroups.upload();
    super.submitQueue();
    this.#launches = 0;
    this.pool.submitted();
  }

  /** capture — a step to be recorded and replayed; see `captureStep` of core-tensor. */
  capture(): StepCaptureCore {
    return new StepCapture(this);
  }

  override disposeData(dataId: DataId, force = false): boolean {
    if (force) this.held.delete(dataId); // it goes to another backend
    return super.disposeData(dataId, force);
  }

  override refCount(dataId: DataId): number {
    return super.refCount(dataId) - (this.held.get(dataId) ?? 0);
  }

  during(name: string, f: () => void): void {
    this.#watch.during(name, f);
    this.#watch.check();
  }

  override uploadToGPU(dataId: DataId): void {
    const data = this.tensorMap.get(dataId);
    if ((data.resource ?? null) !== null) return;
    checkSize(this.limits, this.#call?.name ?? 'a kernel', data.shape);
    const bytes = 4 * util.sizeFromShape(data.shape);
    const { trace } = this;
    if ((data.values ?? null) === null) {
      data.resource = this.pool.acquireBuffer(bytes, STORAGE);
      return;
    }
    const words = wordsOf(data.values as BackendValues, data.dtype);
    // Every replay of a step reads what came from the CPU while it was recorded: nothing else may be written there.
    const buffer = trace === undefined ? this.pool.acquireBuffer(bytes, STORAGE) : this.pool.acquireFresh(bytes, STORAGE, trace.constantArena);
    data.resource = buffer;
    trace?.constants.push({ buffer, acquired: this.pool.acquired, hash: hashOf(words), text: `${data.dtype} ${describeShape(data.shape)}` });
    // The queue writes at once, before the commands that wait: none of them may use this buffer.
    if (this.pool.use(buffer).lastBatch === this.pool.batch) this.flush();
    this.queue.writeBuffer(buffer, 0, words as GPUAllowSharedBufferSource);
    data.values = null;
  }

  override runWebGPUProgram(program: WebGPUProgram, inputs: TensorInfo[], dtype: DataType, uniforms?: StockUniform[], output?: TensorInfo): TensorInfo {
    const name = programName(program);
    [...inputs, { shape: program.outputShape }].forEach(({ shape }) => checkSize(this.limits, name, shape));
    repairProgram(program, () => (inputs[0] === undefined ? undefined : this.tensorMap.get(inputs[0].dataId).dtype));
    const result = this.#watch.during(name, () => super.runWebGPUProgram(program, inputs, dtype, uniforms, output));
    if (!this.isWorking && output === undefined) this.disposeData(result.dataId);
    this.#watch.check();
    return result;
  }

  /** tfjs' programs have one output at binding 0 and their uniforms at the last one. */
  override recordAndSubmit(program: WebGPUProgram, output: TensorInfo, inputs: TensorInfo[], own?: StockUniform[]): void {
    if ((program.pixelsOpType ?? null) !== null) this.trace?.refuse('pixels are read or drawn');
    const isTimed = (this.activeTimers ?? null) !== null && this.trace === undefined;
    if (isTimed || (program.pixelsOpType ?? null) !== null) return super.recordAndSubmit(program, output, inputs, own);
    // Their shaders count on zeros beyond the end of a tensor, where a larger buffer holds old values.
    const bound = (tensor: TensorInfo, access: 'read' | 'write') => ({ buffer: this.#bufferOf(tensor, access), size: Math.max(4, 4 * util.sizeFromShape(tensor.shape)) });
    const tensors = [bound(output, 'write'), ...inputs.map((input) => bound(input, 'read'))];
    const bytes = stockUniforms(program, inputs, output, own);
    const [name, pipeline] = [programName(program), program.pipeline as GPUComputePipeline];
    const layout = this.pipelines.layoutOf(pipeline);
    if (this.trace !== undefined) {
      return this.trace.add({
        name, pipeline, layout, bound: tensors, writes: [(tensors[0] as GPUBufferBinding).buffer],
        uniforms: bytes, live: [], groups: program.dispatch, gate: this.trace.gateNow, isOtherwise: false,
      });
    }
    const uniforms = new Int32Array(bytes.buffer);
    const buffers = tensors.map(({ buffer }) => buffer);
    this.#launch(name, pipeline, { layout, buffers, sizes: tensors.map(({ size }) => size), uniforms, words: uniforms.length }, program.dispatch);
  }

  override async read(dataId: DataId): Promise<BackendValues> {
    this.#refuseTrace('was read back to the CPU', dataId);
    this.#watch.check();
    const { values: known, dtype } = this.tensorMap.get(dataId);
    if ((known ?? null) !== null && dtype !== 'complex64') return known as BackendValues; // at once: it may be disposed or written over soon
    let values: BackendValues;
    try {
      values = await readBack(this, dataId) ?? await super.read(dataId);
    } catch (error) {
      await new Promise((resolve) => setTimeout(resolve)); // the event that tells the cause may be on its way
      this.#watch.check();
      throw new UnsupportedError(`webgpu: a tensor must be readable, got ${error instanceof Error ? `${error.name} ${error.message}`.trim() : String(error)}`);
    }
    this.#watch.check();
    return values;
  }

  override readSync(dataId: DataId): BackendValues {
    this.#refuseTrace('was read back to the CPU', dataId);
    this.#watch.check();
    checkOnCpu(this.tensorMap.get(dataId));
    return super.readSync(dataId);
  }

  override readToGPU(dataId: DataId): GPUData {
    this.#refuseTrace('was copied for use outside of tfjs', dataId);
    this.#watch.check();
    return super.readToGPU(dataId);
  }

  override memory(): ReturnType<StockBackend['memory']> & { peakBytes: number } {
    const { numBytesUsed, numBytesAllocated, peakBytesUsed } = this.pool;
    return { numBytesInGPU: numBytesUsed, numBytesAllocatedInGPU: numBytesAllocated, peakBytes: peakBytesUsed, unreliable: false };
  }

  override dispose(): void {
    this.#watch.close();
    super.dispose();
    this.device.destroy();
  }

  /** A step that reads values cannot be replayed. Where its launches are collected all the same, to be dropped, there are none to be read. */
  #refuseTrace(happened: string, dataId: DataId): void {
    if (this.trace === undefined) return;
    const reason = `${describeTensor(this, this.trace, dataId)} ${happened}`;
    this.trace.refuse(reason);
    if (this.trace !== undefined) throw new UnsupportedError(`webgpu: ${reason} within ifFinite: that must be left alone while a step is recorded`);
  }

  /** Whether nothing waits any more: the launches of a step that is being recorded wait until it is. */
  #handOver(): boolean {
    if (this.trace !== undefined) return false;
    this.flush();
    return true;
  }

  #buffersOf(program: GpuProgram, tensors: GpuDispatch['tensors']): GPUBuffer[] {
    const buffers: GPUBuffer[] = [];
    for (const binding of program.bindings) buffers.push(this.#bufferOf(this.#asItsDtype(checkBound(program, binding, tensors), binding.access), binding.access));
    checkWrites(program, buffers);
    return buffers;
  }

  /** The tensor's buffer. Whoever records a launch that uses it sets its `lastBatch`, once nothing can flush any more. */
  #bufferOf({ dataId }: TensorInfo, access: 'read' | 'write'): GPUBuffer {
    const data = this.tensorMap.get(dataId);
    if ((data.resource ?? null) === null) this.uploadToGPU(dataId);
    if (access === 'write') {
      data.values = null; // what was read before is no longer so
      data.writes = (data.writes ?? 0) + 1;
    }
    const buffer = data.resource as GPUBuffer;
    if (this.trace !== undefined && this.pool.use(buffer).acquired <= this.trace.begin) this.trace.outside.set(dataId, buffer);
    return buffer;
  }

  /**
   * The CPU backend casts int32 to float32 by a new name for the same data, and so it arrives here. A converted copy is bound; where
   * it is written, it stays in the place of the old one.
   */
  #asItsDtype(tensor: TensorInfo, access: 'read' | 'write'): TensorInfo {
    const data = this.tensorMap.get(tensor.dataId);
    if ((data.dtype === 'float32') === (tensor.dtype === 'float32')) return tensor;
    const copy = this.temporary(tensor.shape, tensor.dtype);
    const program = castProgram(data.dtype, tensor.dtype) as GpuProgram;
    const { vectors, groups } = overVectors(this, util.sizeFromShape(tensor.shape));
    this.dispatch(program, { tensors: { x: { ...tensor, dtype: data.dtype }, y: copy }, uniforms: { vectors }, groups });
    if (access === 'read') return copy;
    swapBuffers(this, tensor.dataId, copy.dataId);
    data.dtype = tensor.dtype;
    return tensor;
  }

  #launch(name: string, pipeline: GPUComputePipeline, bound: Bound, [x, y, z]: readonly [number, number, number]): void {
    let group = this.#bindGroups.get(bound);
    if (group === undefined) {
      this.flush();
      this.#bindGroups.reset();
      group = this.#bindGroups.get(bound) as GPUBindGroup;
    }
    for (const buffer of bound.buffers) this.pool.use(buffer).lastBatch = this.pool.batch; // after every flush that uploads and bind groups may have caused
    const pass = this.#pass(name);
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, group);
    if (z === 1 && y === 1) pass.dispatchWorkgroups(x);
    else pass.dispatchWorkgroups(x, y, z);
    this.#launches += 1;
    this.profiler?.launched();
    if (this.#launches >= BATCH_SIZE) this.flush();
  }

  /** The compute pass that all launches share; while a profile is on, one of its own for each. */
  #pass(name: string): GPUComputePassEncoder {
    this.ensureCommandEncoderReady();
    if (this.profiler !== undefined) {
      this.endComputePassEncoder();
      return this.computePassEncoder = (this.commandEncoder as GPUCommandEncoder).beginComputePass(this.profiler.pass(name));
    }
    return this.computePassEncoder ??= (this.commandEncoder as GPUCommandEncoder).beginComputePass();
  }
}
