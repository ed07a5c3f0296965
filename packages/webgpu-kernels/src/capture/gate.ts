import { logicalOr, mul, tidy, type DataId, type Tensor, type Variable } from '@tensorflow/tfjs-core';
import { bufferAt, copyLaunch, hold, letGo } from './host.ts';
import type { HostBackend } from './hostBackend.ts';
import { variablesNow, type Gate, type Trace } from './trace.ts';

/**
 * behindGate — runs `f`, whose launches stand behind the gate. What it assigns to variables is theirs if the gate opens; if it stays
 * closed, what they had before is copied there. If `isDropped` says so in the end, all variables get back what they had.
 */
export function behindGate(backend: HostBackend, trace: Trace, gate: Gate, { f, isDropped }: { f: () => void; isDropped: () => boolean }): void {
  const before = new Map([...variablesNow()].filter(([, dataId]) => backend.tensorMap.has(dataId)));
  for (const dataId of before.values()) hold(backend, dataId); // nobody gets its buffer while it may be needed again
  try {
    f();
  } finally {
    for (const [variable, dataId] of before) {
      if (variable.isDisposed || variable.dataId === dataId) continue;
      if (isDropped()) variable.assign({ dataId, shape: variable.shape, dtype: variable.dtype } as unknown as Tensor);
      else if (trace.refusal === undefined) otherwiseKeep(backend, trace, gate, variable, dataId);
    }
    for (const dataId of before.values()) letGo(backend, dataId);
  }
}

/** Copies the old values to where the variable's are now if the gate is closed: its own place, in which nobody else has a share. */
function otherwiseKeep(backend: HostBackend, trace: Trace, gate: Gate, variable: Variable, old: DataId): void {
  if (variable.size === 0 || !backend.tensorMap.has(variable.dataId)) return;
  if (backend.refCount(variable.dataId) > 1 || bufferAt(backend, variable.dataId) === undefined) separate(variable);
  backend.uploadToGPU(old);
  const [from, to] = [old, variable.dataId].map((dataId) => bufferAt(backend, dataId) as GPUBuffer) as [GPUBuffer, GPUBuffer];
  if (backend.pool.use(from).acquired <= trace.begin) trace.outside.set(old, from);
  trace.add(copyLaunch(backend, [from, to], { count: variable.size, gate, isOtherwise: true }));
}

/** separate — gives a variable values of its own. */
export function separate(variable: Variable): void {
  tidy(() => variable.assign((variable.dtype === 'bool' ? logicalOr(variable as Tensor, variable as Tensor) : mul(variable, 1)) as never));
}
