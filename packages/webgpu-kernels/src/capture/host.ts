/** What captured steps do with the backend's tensors and buffers. */
import { describeShape, StepNumber, type GpuDispatch, type GpuProgram } from '@evenkeel/core-tensor';
import { engine, type BackendValues, type DataId } from '@tensorflow/tfjs-core';
import type { Pipelines } from '../pipelines.ts';
import type { TensorData } from '../stockBackend.ts';
import { writeUniforms } from '../uniforms.ts';
import { wordsOf } from '../words.ts';
import type { HostBackend } from './hostBackend.ts';
import { copyProgram } from './programs.ts';
import { copyAll, type Copy } from './replay.ts';
import type { Gate, Instance, Launch, Trace } from './trace.ts';

type Dispatched = {
  readonly buffers: readonly GPUBuffer[]; readonly uniforms: NonNullable<GpuDispatch['uniforms']>; readonly groups: Launch['groups']; readonly gate: Gate | undefined; readonly isOtherwise?: boolean;
};

/** launchOf — a dispatch of one of our programs as a step keeps it. */
export function launchOf({ pipelines }: { readonly pipelines: Pipelines }, program: GpuProgram, { buffers, uniforms, groups, gate, isOtherwise = false }: Dispatched): Launch {
  const words = new ArrayBuffer(4 * program.uniforms.length);
  writeUniforms(program, uniforms, new Float32Array(words), new Int32Array(words), 0);
  const live = program.uniforms.flatMap(({ name, type }, word) => {
    const number = uniforms[name];
    return number instanceof StepNumber ? [{ word, type, number }] : [];
  });
  const writes = buffers.filter((_, i) => program.bindings[i]?.access === 'write');
  return { name: program.name, ...pipelines.get(program), bound: buffers.map((buffer) => ({ buffer })), writes, uniforms: new Uint8Array(words), live, groups, gate, isOtherwise };
}

/** copyLaunch — a launch that copies `count` words, if its gate is open; with `isOtherwise` if that is closed. */
export function copyLaunch(backend: HostBackend, buffers: readonly [from: GPUBuffer, to: GPUBuffer], { count, ...when }: { readonly count: number } & Pick<Dispatched, 'gate' | 'isOtherwise'>): Launch {
  return launchOf(backend, copyProgram, { buffers, uniforms: { count }, groups: [...backend.spread(Math.ceil(count / 256)), 1], ...when });
}

/** bufferAt — where a tensor's values lie on the device; undefined where it is not there. */
export function bufferAt({ tensorMap }: HostBackend, dataId: DataId): GPUBuffer | undefined {
  return tensorMap.has(dataId) ? (tensorMap.get(dataId).resource as GPUBuffer | null | undefined) ?? undefined : undefined;
}

/** instanceAt — the same for a tensor that is there, told from what lay in the buffer before. */
export function instanceAt(backend: HostBackend, dataId: DataId): Instance {
  const buffer = bufferAt(backend, dataId) as GPUBuffer;
  return { buffer, acquired: backend.pool.use(buffer).acquired };
}

/** copyOf — how the values of a tensor get to `to`; undefined if they were only on the CPU and are written already. */
export function copyOf(backend: HostBackend, dataId: DataId, to: GPUBuffer, bytes: number): Copy | undefined {
  const { values, resource, dtype } = backend.tensorMap.get(dataId);
  if ((resource ?? null) !== null) return { from: resource as GPUBuffer, to, bytes };
  backend.queue.writeBuffer(to, 0, wordsOf(values as BackendValues, dtype));
  return undefined;
}

/** copyNow — hands copies to the device. */
export function copyNow({ device, queue }: HostBackend, copies: readonly Copy[]): void {
  const encoder = device.createCommandEncoder();
  copyAll(encoder, copies);
  queue.submit([encoder.finish()]);
}

/** swapBuffers — the two tensors' buffers change places; returns the first's and the second's as they were. */
export function swapBuffers({ tensorMap }: HostBackend, a: DataId, b: DataId): [GPUBuffer, GPUBuffer] {
  const [first, second] = [tensorMap.get(a), tensorMap.get(b)];
  const before = [first.resource, second.resource] as [GPUBuffer, GPUBuffer];
  [first.resource, second.resource] = [before[1], before[0]];
  return before;
}

/** dataOf — what the backend knows of a tensor, a disposed one's being nowhere. */
export const dataOf = ({ tensorMap }: HostBackend, dataId: DataId): TensorData => (
  tensorMap.has(dataId) ? tensorMap.get(dataId) : { values: null, dtype: 'float32', shape: [], refCount: 0, resource: null });

/** forgetValues — what was read of a tensor is no longer so. */
export function forgetValues(data: TensorData): void {
  data.values = null;
  data.writes = (data.writes ?? 0) + 1;
}

/** hold — keeps values alive without counting as somebody who shares them. */
export function hold(backend: HostBackend, dataId: DataId): void {
  backend.incRef(dataId);
  backend.held.set(dataId, (backend.held.get(dataId) ?? 0) + 1);
}

export function letGo(backend: HostBackend, dataId: DataId): void {
  const count = backend.held.get(dataId);
  if (count === undefined) return;
  if (count === 1) backend.held.delete(dataId);
  else backend.held.set(dataId, count - 1);
  // tfjs forgets data only when it sees the last of them go itself.
  if (backend.disposeData(dataId)) engine().removeDataId(dataId, backend);
}

/** describeTensor — a tensor of a step in words: what it is, and which launch wrote it last. */
export function describeTensor(backend: HostBackend, trace: Trace, dataId: DataId): string {
  const { dtype, shape } = dataOf(backend, dataId);
  const buffer = bufferAt(backend, dataId);
  const writer = buffer && trace.launches.findLast(({ writes }) => writes.includes(buffer))?.name;
  return `a value (${dtype} ${describeShape(shape)}${writer === undefined ? '' : `, made by ${writer}`})`;
}
