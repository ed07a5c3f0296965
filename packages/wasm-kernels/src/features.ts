/** WasmFeatures — what this engine's WebAssembly offers, as `doctor` shows it. */
export type WasmFeatures = {
  readonly simd: boolean;
  readonly relaxedSimd: boolean;
  /** Node on x64 whose V8 can join two vectors of four floats into a register of eight (AVX2), if a flag is set. */
  readonly wideSimd: boolean;
  /** Atomic instructions validate. */
  readonly threads: boolean;
  /** A shared memory can be made here; browsers want cross-origin isolation for it. */
  readonly sharedMemory: boolean;
  /** Logical cores the host reports. */
  readonly cores: number;
};

// The smallest modules that use each feature: i8x16.popcnt; i8x16.relaxed_swizzle; i32.atomic.load of a shared memory.
const SIMD = [0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 10, 1, 8, 0, 65, 0, 253, 15, 253, 98, 11];
const RELAXED_SIMD = [
  0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 15, 1, 13, 0, 65, 1, 253, 15, 65, 2, 253, 15, 253, 128, 2, 11,
];
const THREADS = [
  0, 97, 115, 109, 1, 0, 0, 0, 1, 4, 1, 96, 0, 0, 3, 2, 1, 0, 5, 4, 1, 3, 1, 1, 10, 11, 1, 9, 0, 65, 0, 254, 16, 2, 0, 26, 11,
];

/** wasmFeatures — asks the engine, by validating tiny modules, what it can run. */
export function wasmFeatures(): WasmFeatures {
  return {
    simd: validates(SIMD),
    relaxedSimd: validates(RELAXED_SIMD),
    wideSimd: validates(RELAXED_SIMD) && canJoinVectors(),
    threads: validates(THREADS),
    sharedMemory: canShareMemory(),
    cores: coreCount(),
  };
}

function validates(bytes: readonly number[]): boolean {
  return typeof WebAssembly === 'object' && WebAssembly.validate(new Uint8Array(bytes));
}

/** V8 was built with it (Node's builds are), and the processor has AVX2: so do all since 2015; Linux can tell. */
function canJoinVectors(): boolean {
  const { process } = globalThis as { process?: { arch?: string; platform?: string; config?: { variables?: Record<string, unknown> } } };
  if (process?.arch !== 'x64' || process.config?.variables?.['v8_enable_wasm_simd256_revec'] !== 1) return false;
  if (process.platform !== 'linux') return true;
  try {
    return / avx2 /.test(nodeModule<typeof import('node:fs')>('node:fs')?.readFileSync('/proc/cpuinfo', 'utf8') ?? '');
  } catch {
    return false;
  }
}

/** joinVectors — tells V8 to, for all WebAssembly that this process compiles from now on. */
export function joinVectors(): void {
  nodeModule<typeof import('node:v8')>('node:v8')?.setFlagsFromString('--experimental-wasm-revectorize');
}

function canShareMemory(): boolean {
  if (typeof SharedArrayBuffer === 'undefined' || typeof WebAssembly !== 'object') return false;
  if ((globalThis as { crossOriginIsolated?: boolean }).crossOriginIsolated === false) return false;
  try {
    return new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true }).buffer instanceof SharedArrayBuffer;
  } catch {
    return false;
  }
}

function coreCount(): number {
  const os = nodeModule<typeof import('node:os')>('node:os');
  if (os !== undefined) return os.availableParallelism();
  return (globalThis as { navigator?: { hardwareConcurrency?: number } }).navigator?.hardwareConcurrency ?? 1;
}

/** nodeModule — a built-in module of Node, or undefined elsewhere; bundlers see no import. */
export function nodeModule<M>(name: string): M | undefined {
  const host = (globalThis as { process?: { getBuiltinModule?: (name: string) => unknown } }).process;
  return host?.getBuiltinModule?.(name) as M | undefined;
}
