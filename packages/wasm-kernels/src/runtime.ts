import { checkInteger, checkOneOf, UnsupportedError } from '@evenkeel/core-tensor';
import { joinVectors, wasmFeatures, type WasmFeatures } from './features.ts';
import { createHeap, type Heap } from './memory.ts';
import { createThreadPool, type ThreadPool } from './threadPool.ts';
import { compileVariant, instantiate, type WasmVariant } from './wasmModule.ts';

export type WasmOptions = {
  /** Threads, the caller's included. Default: one per core, at most 16. */
  readonly threads?: number;
  /**
   * `auto` (default) takes relaxed SIMD where the engine has it. `wide`, in Node on x64 with AVX2, is relaxed SIMD that V8 computes eight floats
   * at a time: the same bits, up to 1.7 times as fast. It sets V8's flag `--experimental-wasm-revectorize`, which then holds for all
   * WebAssembly of the process.
   */
  readonly simd?: 'auto' | WasmVariant;
  /** Upper limit of the WebAssembly memory. Default and maximum: 4 GiB. */
  readonly maxMemoryBytes?: number;
  /**
   * Time without a finished chunk after which a job is given up because a thread has died, in ms: longer than any one chunk takes
   * (the longest are those of the gradient of attention: a key-value head of one sequence, or a part of it where there are fewer than 16).
   * Default 120,000.
   */
  readonly stallMs?: number;
};

/** WasmRuntime — one memory, its allocator and the threads that compute on it. */
export type WasmRuntime = {
  readonly variant: WasmVariant;
  readonly shared: boolean;
  readonly memory: WebAssembly.Memory;
  readonly heap: Heap;
  readonly pool: ThreadPool;
};

/** One page less than 4 GiB, so that no block ends at an address that wraps to zero. */
const MAX_PAGES = 65535;
const PAGE = 65536;
const INITIAL_PAGES = 256;

/**
 * createRuntime — compiles the kernels for this engine and starts the threads.
 *
 * @throws ConfigError       for options out of range.
 * @throws UnsupportedError  if the engine lacks SIMD, or the kind of it that was asked for.
 */
export async function createRuntime(options: WasmOptions = {}): Promise<WasmRuntime> {
  const features = wasmFeatures();
  const { threads = Math.min(features.cores, 16), maxMemoryBytes = MAX_PAGES * PAGE } = options;
  checkInteger('wasm', 'threads', threads);
  checkInteger('wasm', 'maxMemoryBytes', maxMemoryBytes, INITIAL_PAGES * PAGE);
  const variant = chooseVariant(options.simd ?? 'auto', features);
  const shared = threads > 1 && features.threads && features.sharedMemory;
  const maxPages = Math.min(MAX_PAGES, Math.floor(maxMemoryBytes / PAGE));
  if (variant === 'wide') joinVectors();
  const module = await compileVariant(variant, shared);
  const memory = new WebAssembly.Memory({ initial: INITIAL_PAGES, maximum: maxPages, shared });
  const { exports } = instantiate(module, memory);
  new Int32Array(memory.buffer, exports.widePointer(), 1)[0] = variant === 'wide' ? 1 : 0;
  const heap = createHeap(memory, exports.heapBase(), maxPages * PAGE);
  const pool = await createThreadPool({ module, memory, heap, threads, stallMs: options.stallMs });
  return { variant, shared, memory, heap, pool };
}

/** variantFor — the kind of SIMD that is meant: the one that was asked for, or the best that every engine with these features has. */
export const variantFor = (simd: 'auto' | WasmVariant, { relaxedSimd }: WasmFeatures): WasmVariant => (simd !== 'auto' ? simd : relaxedSimd ? 'relaxed' : 'plain');

function chooseVariant(simd: 'auto' | WasmVariant, features: WasmFeatures): WasmVariant {
  checkOneOf('wasm', 'simd', simd, ['auto', 'wide', 'relaxed', 'plain']);
  if (!features.simd) throw new UnsupportedError('wasm: the engine must have WebAssembly SIMD, got one without');
  if (simd === 'relaxed' && !features.relaxedSimd) {
    throw new UnsupportedError("wasm: simd 'relaxed' must be supported by the engine, got one without relaxed SIMD. Use 'auto'.");
  }
  if (simd === 'wide' && !features.wideSimd) {
    throw new UnsupportedError("wasm: simd 'wide' must have Node on x64 with AVX2, got another engine or processor. Use 'auto'.");
  }
  return variantFor(simd, features);
}
