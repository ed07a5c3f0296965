import type { DataId } from '@tensorflow/tfjs-core';
import type { BufferPool } from '../bufferPool.ts';
import type { Pipelines } from '../pipelines.ts';
import type { Profiler } from '../profiler.ts';
import type { StockBackend } from '../stockBackend.ts';
import type { Tuner } from '../tuner.ts';
import type { Trace } from './trace.ts';

/** HostBackend — what capturing a step needs of the backend. */
export type HostBackend = StockBackend & {
  readonly pool: BufferPool;
  readonly pipelines: Pipelines;
  readonly profiler: Profiler | undefined;
  readonly tuner: Tuner;
  /** The step that is being recorded instead of run. */
  trace: Trace | undefined;
  /** Values that captured steps keep alive, and for how many. */
  readonly held: Map<DataId, number>;
  flush(): void;
  /** Runs `f`, whose errors bear that name. */
  during(name: string, f: () => void): void;
  spread(count: number): [x: number, y: number];
};
