import {
  describeShape, UnsupportedError, type GpuBackend, type GpuDispatch, type GpuFeature, type GpuProgram,
} from '@evenkeel/core-tensor';
import { env, util, type BackendValues, type DataId, type DataType, type GPUData, type TensorInfo } from '@tensorflow/tfjs-core';
import type { WebGPUProgram } from '@tensorflow/tfjs-backend-webgpu';
import { BindGroups } from './bindGroups.ts';
import { BufferPool } from './bufferPool.ts';
import type { DeviceWatch } from './deviceWatch.ts';
import { castProgram } from './kernels/cast.ts';
import { overVectors } from './kernels/elementwise.ts';
import { limitsOf, type DeviceLimits } from './limits.ts';
import { Pipelines, type BindLayout } from './pipelines.ts';
import { repairProgram } from './repairs/programs.ts';
import { StockBackend } from './stockBackend.ts';
import { stockUniforms, type StockUniform } from './stockUniforms.ts';
import { UniformArena } from './uniformArena.ts';

/** Launches after which the commands recorded so far are handed to the device, which works while more are recorded. */
const BATCH_SIZE = 64;
const STORAGE = 0x80 | 0x4 | 0x8; // STORAGE, COPY_SRC and COPY_DST of GPUBufferUsage

/**
 * EvenkeelWebgpuBackend — tfjs' WebGPU backend on a device of our own. Programs with several outputs, in place or with
 * features of the device run through `dispatch`; errors are heard: an operation or a reading after (in Node: at) the first
 * error of the device throws it, where tfjs alone would hand out zeros.
 */
export class EvenkeelWebgpuBackend extends StockBackend implements GpuBackend {
  readonly features: ReadonlySet<GpuFeature>;
  readonly limits: DeviceLimits;
  readonly pool: BufferPool;
  readonly #watch: DeviceWatch;
  readonly #uniforms: UniformArena;
  readonly #pipelines: Pipelines;
  readonly #bindGroups = new BindGroups();
  readonly #offset = [0];
  #launches = 0;
  /** What the kernel that is running has made. */
  #call: { readonly name: string; readonly made: TensorInfo[]; readonly temporaries: TensorInfo[] } | undefined;

  constructor(device: GPUDevice, info: GPUAdapterInfo, watch: DeviceWatch) {
    super(device, info);
    this.#watch = watch;
    this.limits = limitsOf(device);
    this.features = new Set<GpuFeature>([
      ...(device.features.has('shader-f16') ? ['f16' as const] : []), ...(device.features.has('subgroups') ? ['subgroups' as const] : []),
    ]);
    this.#uniforms = new UniformArena(device);
    this.#pipelines = new Pipelines(device, watch, this.#uniforms.layout);
    this.bufferManager = this.pool = new BufferPool(device, () => this.#bindGroups.clear());
    // Small tensors are computed where all others are: the CPU kernels behind this flag would bake their values into programs.
    env().set('WEBGPU_CPU_FORWARD', false);
  }

  /** Whether nothing has gone wrong on the device. */
  get isWorking(): boolean {
    return this.#watch.failure() === undefined;
  }

  dispatch(program: GpuProgram, { tensors, uniforms = {}, groups: [x, y = 1, z = 1] }: GpuDispatch): void {
    const { name, bindings } = program;
    this.#watch.check();
    if (x * y * z === 0) return;
    const most = this.limits.maxComputeWorkgroupsPerDimension;
    if (Math.max(x, y, z) > most) throw new UnsupportedError(`webgpu: ${name} must have at most ${most} workgroups per axis on this device, got ${x}, ${y}, ${z}`);
    const buffers: GPUBuffer[] = [];
    for (const { name: binding, access } of bindings) {
      const tensor = tensors[binding];
      if (tensor === undefined) throw new Error(`dispatch: tensors of ${name} must have ${binding}, got ${Object.keys(tensors).join(', ')}`);
      buffers.push(this.#bufferOf(this.#asItsDtype(tensor, access), access));
    }
    this.#watch.during(name, () => {
      const { pipeline, layout } = this.#pipelines.get(program);
      if (!this.#uniforms.hasRoomFor(4 * program.uniforms.length)) this.flush();
      const group = this.#bindGroup(layout, buffers);
      const pass = this.#pass();
      pass.setPipeline(pipeline);
      pass.setBindGroup(0, group);
      if (program.uniforms.length > 0) {
        this.#offset[0] = this.#uniforms.write(program, uniforms);
        pass.setBindGroup(1, this.#uniforms.group, this.#offset);
      }
      if (z === 1 && y === 1) pass.dispatchWorkgroups(x);
      else pass.dispatchWorkgroups(x, y, z);
      this.#launched();
    });
    this.#watch.check();
  }

  allocate(shape: readonly number[], dtype: DataType = 'float32'): TensorInfo {
    this.#checkSize(this.#call?.name ?? 'a kernel', shape);
    const info = this.makeTensorInfo(shape as number[], dtype);
    this.#call?.made.push(info);
    return info;
  }

  temporary(shape: readonly number[], dtype: DataType = 'float32'): TensorInfo {
    const info = this.allocate(shape, dtype);
    this.#call?.temporaries.push(info);
    return info;
  }

  reshaped({ dataId, dtype }: TensorInfo, shape: readonly number[]): TensorInfo {
    this.incRef(dataId);
    return { dataId, dtype, shape: shape as number[] };
  }

  spread(count: number): [x: number, y: number] {
    const most = this.limits.maxComputeWorkgroupsPerDimension;
    if (count <= most) return [count, 1];
    const y = Math.ceil(count / most);
    return [Math.ceil(count / y), y];
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

  override submitQueue(): void {
    this.#uniforms.upload();
    super.submitQueue();
    this.#launches = 0;
    this.pool.batch += 1;
    this.pool.trim();
  }

  override uploadToGPU(dataId: DataId): void {
    const data = this.tensorMap.get(dataId);
    if ((data.resource ?? null) !== null) return;
    const buffer = this.pool.acquireBuffer(4 * util.sizeFromShape(data.shape), STORAGE);
    data.resource = buffer;
    if ((data.values ?? null) === null) return;
    // The queue writes at once, before the commands that wait: none of them may use this buffer.
    if (this.pool.use(buffer).lastBatch === this.pool.batch) this.flush();
    this.queue.writeBuffer(buffer, 0, wordsOf(data.values as BackendValues, data.dtype));
    data.values = null;
  }

  override runWebGPUProgram(program: WebGPUProgram, inputs: TensorInfo[], dtype: DataType, uniforms?: StockUniform[], output?: TensorInfo): TensorInfo {
    const name = programName(program);
    [...inputs, { shape: program.outputShape }].forEach(({ shape }) => this.#checkSize(name, shape));
    repairProgram(program, () => (inputs[0] === undefined ? undefined : this.tensorMap.get(inputs[0].dataId).dtype));
    const result = this.#watch.during(name, () => super.runWebGPUProgram(program, inputs, dtype, uniforms, output));
    if (!this.isWorking && output === undefined) this.disposeData(result.dataId);
    this.#watch.check();
    return result;
  }

  /** tfjs' programs have one output at binding 0 and their uniforms at the last one. */
  override recordAndSubmit(program: WebGPUProgram, output: TensorInfo, inputs: TensorInfo[], own?: StockUniform[]): void {
    if ((this.activeTimers ?? null) !== null || (program.pixelsOpType ?? null) !== null) return super.recordAndSubmit(program, output, inputs, own);
    // Their shaders count on zeros beyond the end of a tensor, where a larger buffer holds old values.
    const bound = (tensor: TensorInfo, access: 'read' | 'write') => ({ buffer: this.#bufferOf(tensor, access), size: Math.max(4, 4 * util.sizeFromShape(tensor.shape)) });
    const tensors = [bound(output, 'write'), ...inputs.map((input) => bound(input, 'read'))];
    const bytes = stockUniforms(program, inputs, output, own);
    if (!this.#uniforms.hasRoomFor(bytes.length)) this.flush();
    for (const { buffer } of tensors) this.pool.use(buffer).lastBatch = this.pool.batch;
    const resources: GPUBufferBinding[] = [...tensors, { buffer: this.#uniforms.buffer, offset: this.#uniforms.writeBytes(bytes), size: bytes.length }];
    const pipeline = program.pipeline as GPUComputePipeline;
    const pass = this.#pass();
    pass.setPipeline(pipeline);
    const entries = resources.map((resource, binding) => ({ binding, resource }));
    pass.setBindGroup(0, this.device.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries }));
    pass.dispatchWorkgroups(...program.dispatch);
    this.#launched();
  }

  override async read(dataId: DataId): Promise<BackendValues> {
    this.#watch.check();
    let values: BackendValues;
    try {
      values = await this.#readNow(dataId);
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

  override memory(): ReturnType<StockBackend['memory']> & { peakBytes: number } {
    const { numBytesUsed, numBytesAllocated, peakBytesUsed } = this.pool;
    return { numBytesInGPU: numBytesUsed, numBytesAllocatedInGPU: numBytesAllocated, peakBytes: peakBytesUsed, unreliable: false };
  }

  override dispose(): void {
    this.#watch.close();
    super.dispose();
    this.device.destroy();
  }

  /** The tensor's buffer. Whoever records a launch that uses it sets its `lastBatch`, once nothing can flush any more. */
  #bufferOf({ dataId }: TensorInfo, access: 'read' | 'write'): GPUBuffer {
    const data = this.tensorMap.get(dataId);
    if ((data.resource ?? null) === null) this.uploadToGPU(dataId);
    if (access === 'write') {
      data.values = null; // what was read before is no longer so
      data.writes = (data.writes ?? 0) + 1;
    }
    return data.resource as GPUBuffer;
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
    const copied = this.tensorMap.get(copy.dataId);
    [data.resource, copied.resource] = [copied.resource, data.resource];
    data.dtype = tensor.dtype;
    return tensor;
  }

  /** The bind group of these buffers, which the launch that is about to be recorded uses. */
  #bindGroup(layout: BindLayout, buffers: readonly GPUBuffer[]): GPUBindGroup {
    const uses = buffers.map((buffer) => this.pool.use(buffer));
    for (const use of uses) use.lastBatch = this.pool.batch; // after every flush that uploads and uniforms may have caused
    return this.#bindGroups.get(layout.id, uses, () => this.device.createBindGroup({
      layout: layout.layout, entries: buffers.map((buffer, binding) => ({ binding, resource: { buffer } })),
    }));
  }

  #pass(): GPUComputePassEncoder {
    this.ensureCommandEncoderReady();
    return this.computePassEncoder ??= (this.commandEncoder as GPUCommandEncoder).beginComputePass();
  }

  #launched(): void {
    this.#launches += 1;
    if (this.#launches >= BATCH_SIZE) this.flush();
  }

  async #readNow(dataId: DataId): Promise<BackendValues> {
    const data = this.tensorMap.get(dataId);
    const isUnwritten = (data.values ?? null) === null && (data.resource ?? null) === null;
    if (isUnwritten && data.dtype !== 'complex64' && util.sizeFromShape(data.shape) === 0) return util.getTypedArrayFromDType(data.dtype as 'float32', 0);
    if ((data.values ?? null) !== null || (data.resource ?? null) === null) return super.read(dataId);
    const { writes } = data;
    const bytes = 4 * util.sizeFromShape(data.shape);
    const staging = this.pool.acquireBuffer(bytes, GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST);
    this.ensureCommandEncoderReady();
    this.endComputePassEncoder();
    (this.commandEncoder as GPUCommandEncoder).copyBufferToBuffer(data.resource as GPUBuffer, 0, staging, 0, bytes);
    for (const buffer of [data.resource as GPUBuffer, staging]) this.pool.use(buffer).lastBatch = this.pool.batch;
    this.submitQueue();
    try {
      await staging.mapAsync(GPUMapMode.READ, 0, bytes);
      const values = util.convertBackendValuesAndArrayBuffer(staging.getMappedRange(0, bytes).slice(0), data.dtype);
      staging.unmap();
      if (data.writes === writes) data.values = values;
      return values;
    } finally {
      this.pool.releaseBuffer(staging, staging.mapState === 'unmapped');
    }
  }

  /** Refuses what the device cannot bind, before anything is made for it. */
  #checkSize(name: string, shape: readonly number[]): void {
    const { maxBufferSize, maxStorageBufferBindingSize } = this.limits;
    const limit = Math.min(maxBufferSize, maxStorageBufferBindingSize);
    const bytes = 4 * util.sizeFromShape(shape as number[]);
    if (bytes > limit) {
      throw new UnsupportedError(`webgpu: a tensor must have at most ${limit} bytes on this device, got ${bytes} for ${describeShape(shape)} in ${name}`);
    }
  }
}

/** Tensors hold one 32-bit word per element on the device. */
function wordsOf(values: BackendValues, dtype: DataType): GPUAllowSharedBufferSource {
  const Words = dtype === 'int32' || dtype === 'bool' ? Int32Array : Float32Array;
  return (values instanceof Words ? values : Words.from(values as ArrayLike<number>)) as GPUAllowSharedBufferSource;
}

/** `MatMulPackedProgram`: tfjs names a program by its class; one written as a plain object has its key only. */
function programName(program: WebGPUProgram): string {
  const { name } = program.constructor;
  return name === 'Object' ? program.shaderKey : name;
}
