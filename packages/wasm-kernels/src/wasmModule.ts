import { plain, relaxed } from './generated/binaries.ts';

/** WasmVariant — `wide`: the code of `relaxed`, whose vectors V8 joins in pairs. */
export type WasmVariant = 'relaxed' | 'plain' | 'wide';

/** KernelExports — what a compiled module offers besides its kernels (assembly/threads.ts). */
export type KernelExports = {
  readonly argsPointer: () => number;
  readonly heapBase: () => number;
  readonly widePointer: () => number;
  readonly scratchBytes: () => number;
  readonly runSerial: (kernel: number, chunks: number, scratch: number) => void;
  readonly runShared: (kernel: number, first: number, chunks: number, scratch: number) => number;
  readonly awaitDone: (chunks: number, spins: number) => number;
  readonly finishedChunks: () => number;
  readonly hasFailed: () => number;
  readonly sleepUntilDone: (chunks: number, ms: number) => number;
};

/** Entry 0 of a WebAssembly table is left empty; the exported functions follow in the order of their names. */
export const FIRST_TABLE_INDEX = 1;

/** compileVariant — the compiled module. One binary serves shared and unshared memory: they differ in one flag. */
export async function compileVariant(variant: WasmVariant, shared: boolean): Promise<WebAssembly.Module> {
  const bytes = Uint8Array.from(atob(variant === 'plain' ? plain : relaxed), (character) => character.charCodeAt(0));
  if (!shared) unshare(bytes);
  return WebAssembly.compile(variant === 'wide' ? marked(bytes) : bytes);
}

/** An empty custom section named "w" more: an engine that has compiled these bytes before would take that code. */
function marked(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  return Uint8Array.from([...bytes, 0, 2, 1, 'w'.charCodeAt(0)]);
}

/** unshare — clears the `shared` flag of the imported memory, in place. */
function unshare(bytes: Uint8Array): void {
  // The import's encoding: length and text of "env" and "memory", kind 2 (memory), limits 3 (maximum, shared).
  const pattern = [3, ...'env'].concat([6, ...'memory'] as never).map((each) => (typeof each === 'string' ? each.charCodeAt(0) : each));
  const encoded = [...pattern, 2, 3];
  for (let at = 8; at < bytes.length - encoded.length; at++) {
    if (encoded.every((byte, i) => bytes[at + i] === byte)) {
      bytes[at + encoded.length - 1] = 1;
      return;
    }
  }
  throw new Error('unshare: the module must import env.memory as a shared memory, got none');
}

/** functionNames — exported functions in the order in which every thread puts them into its table. */
export function functionNames(module: WebAssembly.Module): string[] {
  return WebAssembly.Module.exports(module).filter(({ kind }) => kind === 'function').map(({ name }) => name).sort();
}

/** instantiate — an instance on `memory` whose table holds every exported function. Workers do the same (workerScript.ts). */
export function instantiate(module: WebAssembly.Module, memory: WebAssembly.Memory): { exports: KernelExports; names: string[] } {
  const names = functionNames(module);
  const table = new WebAssembly.Table({ initial: names.length + FIRST_TABLE_INDEX, element: 'anyfunc' });
  const { exports } = new WebAssembly.Instance(module, { env: { memory, table } });
  names.forEach((name, i) => table.set(i + FIRST_TABLE_INDEX, exports[name] as () => void));
  return { exports: exports as unknown as KernelExports, names };
}
