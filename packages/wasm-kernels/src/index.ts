export { createWasmBackend, wasm } from './provider.ts';
export { BACKEND_NAME, WasmBackend, type WasmMemoryInfo } from './wasmBackend.ts';
export { createRuntime, type WasmOptions, type WasmRuntime } from './runtime.ts';
export { createHeap, type Block, type Heap, type HeapStatistics } from './memory.ts';
export { createThreadPool, type ThreadPool, type ThreadPoolOptions } from './threadPool.ts';
export { wasmFeatures, type WasmFeatures } from './features.ts';
export { compileVariant, type WasmVariant } from './wasmModule.ts';
