import { engine, type NamedTensorMap, type Tensor } from '@tensorflow/tfjs-core';

/**
 * TapeNode — one recorded operation. `gradient` is absent when none is registered for the kernel; `saved` are the kept
 * references that `gradient` will read.
 */
export type TapeNode = {
  readonly kernelName: string;
  readonly inputs: NamedTensorMap;
  readonly outputs: readonly Tensor[];
  readonly gradient?: (dys: readonly (Tensor | undefined)[]) => Record<string, () => Tensor>;
  readonly saved?: readonly Tensor[];
};

type SaveFn = (tensors: Tensor[]) => void;

/**
 * EngineInternals — the part of tfjs-core 4.22's engine that its public types hide and training needs: the tape itself, and
 * an operation with lazy gradients, several outputs and chosen saved tensors (`customGrad` has none of the three).
 * Everything that reaches below tfjs' public surface goes through this one type.
 */
export type EngineInternals = {
  readonly backend: unknown;
  readonly backendName: string;
  readonly state: { activeTape: TapeNode[] | null; gradientDepth: number; kernelDepth: number; numDataMovesStack: number[] };
  startTape(): void;
  endTape(): void;
  isTapeOn(): boolean;
  /** Takes the next tensor id: every tensor made afterwards has a larger one. */
  nextTensorId(): number;
  runKernelFunc(operation: {
    forwardFunc: (backend: unknown, save: SaveFn) => Tensor | Tensor[];
    backwardsFunc: (dy: Tensor | Tensor[], saved: Tensor[]) => Record<string, () => Tensor>;
    inputs: NamedTensorMap;
  }): Tensor | Tensor[];
};

/** engineInternals — tfjs' process-wide engine, seen from inside; the active backend is initialised first. */
export function engineInternals(): EngineInternals {
  return engine() as unknown as EngineInternals;
}
