/** What the contenders on WebGPU in Node have in common: Dawn, and a count of what they ask of it. */
import { create, globals } from 'webgpu';

let failure: string | undefined;

/** openDawn — puts npm `webgpu` where a browser has its own; to be called before anything that looks for a GPU is loaded. */
export function openDawn(): void {
  Object.assign(globalThis, globals);
  Object.defineProperty(globalThis.navigator, 'gpu', { value: create([]), configurable: true });
  const { requestDevice } = GPUAdapter.prototype;
  GPUAdapter.prototype.requestDevice = async function (descriptor) {
    const device = await requestDevice.call(this, descriptor);
    device.addEventListener('uncapturederror', ({ error }) => void (failure ??= error.message.replace(/\s+/g, ' ').slice(0, 200)));
    return device;
  };
}

/** checkDevice — throws the first error of the device: it voids a whole batch of commands, and everything seems fast. */
export function checkDevice(): void {
  if (failure !== undefined) throw new Error(`an error of the device: ${failure}`);
}

/** adapterName — of the adapter that everyone here gets. */
export async function adapterName(): Promise<string> {
  const adapter = await navigator.gpu.requestAdapter({ powerPreference: 'high-performance' });
  return adapter?.info.description ?? 'no adapter';
}

/** watchDeviceMemory — starts to count the bytes of all buffers; the result is a `PeakWatch`. */
export function watchDeviceMemory(): () => () => number {
  const living = new Map<GPUBuffer, number>();
  let bytes = 0;
  let peak = 0;
  const { createBuffer } = GPUDevice.prototype;
  GPUDevice.prototype.createBuffer = function (descriptor) {
    const buffer = createBuffer.call(this, descriptor);
    living.set(buffer, descriptor.size);
    bytes += descriptor.size;
    peak = Math.max(peak, bytes);
    return buffer;
  };
  const { destroy } = GPUBuffer.prototype;
  GPUBuffer.prototype.destroy = function () {
    bytes -= living.get(this) ?? 0;
    living.delete(this);
    return destroy.call(this);
  };
  return () => {
    const before = peak = bytes;
    return () => peak - before;
  };
}

/** launchesOver — resolves when so many launches have been asked of the device from now on, and the code that asked for the last has run. */
export function launchesOver(count: number): Promise<void> {
  return new Promise((resolve) => {
    const stop = onLaunch(() => {
      if (--count > 0) return;
      stop();
      resolve();
    });
  });
}

/** checkLaunches — throws unless `run` asks for as many launches as it is timed for: an operation that is fused or never done is none. */
export async function checkLaunches(run: () => Promise<unknown>, settle: () => Promise<void>, expected: number): Promise<void> {
  let count = 0;
  const stop = onLaunch(() => void count++);
  await run();
  await settle();
  stop();
  if (count !== expected) throw new Error(`record must make ${expected} launches, made ${count}`);
}

/** Calls `listener` at every launch until the function that it returns is called. */
function onLaunch(listener: () => void): () => void {
  const { dispatchWorkgroups } = GPUComputePassEncoder.prototype;
  GPUComputePassEncoder.prototype.dispatchWorkgroups = function (...groups: [number, number?, number?]) {
    listener();
    return dispatchWorkgroups.apply(this, groups);
  };
  return () => { GPUComputePassEncoder.prototype.dispatchWorkgroups = dispatchWorkgroups; };
}
