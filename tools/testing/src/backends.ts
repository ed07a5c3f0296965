import { engine, setBackend } from '@tensorflow/tfjs-core';

/**
 * Registers the backend with tfjs under its name, without selecting it. Where it cannot work, returns the reason instead;
 * an error is a bug and fails the tests that asked for the backend.
 */
export type BackendProvider = () => Promise<string | undefined>;

type Entry = { provider: BackendProvider; ready?: Promise<string | undefined> };

const key = Symbol.for('evenkeel.testing.backends');
const backends = ((globalThis as { [key]?: Map<string, Entry> })[key] ??= new Map<string, Entry>());

/** The backends on which a fused op is tested unless the test says otherwise. */
export const defaultBackends = ['cpu', 'evenkeel-wasm', 'evenkeel-webgpu'] as const;

/** provideBackend — makes a backend known to `forEachBackend`; the provider runs only when a test file asks for it. */
export function provideBackend(name: string, provider: BackendProvider): void {
  backends.set(name, { provider });
}

/**
 * useBackend — selects a tfjs backend, creating it first if need be.
 *
 * @returns undefined, or the reason why the backend is unavailable here.
 * @throws what its provider throws, and if the provider did not register it.
 */
export async function useBackend(name: string): Promise<string | undefined> {
  const entry = backends.get(name);
  if (entry === undefined) return `no backend named ${name} was provided by the vitest setup file`;
  entry.ready ??= entry.provider();
  const reason = await entry.ready;
  if (reason !== undefined) return reason;
  if (!(name in engine().registryFactory)) throw new Error(`useBackend: the provider of ${name} must register it with tfjs`);
  if (!(await setBackend(name))) throw new Error(`useBackend: tfjs could not initialise ${name}`);
  return undefined;
}
