import { engine } from '@tensorflow/tfjs-core';

/** TunedClass — what tuning found for a class of calls: the fastest way, and the milliseconds of one call of each that was timed. */
export type TunedClass = { readonly class: string; readonly winner: string; readonly milliseconds: Readonly<Record<string, number>> };

/** TuneOptions — `onTuned` is told of each class as it is found, and how many are left; `signal` ends it after the class in progress. */
export type TuneOptions = { readonly onTuned?: ((tuned: TunedClass, left: number) => void) | undefined; readonly signal?: AbortSignal | undefined };

/** KernelChoices — the ways that a device takes on an adapter, by the class of the call. */
export type KernelChoices = { readonly adapter: string; readonly winners: Readonly<Record<string, string>> };

/** KernelTuning — what a device that tunes itself can do between two steps. */
export type KernelTuning = {
  /** Times the ways of every class seen and not timed yet, and takes the winners from then on. */
  tune(options?: TuneOptions): Promise<readonly TunedClass[]>;
  /** What a run must take again to get the same bits. */
  choices(): KernelChoices;
  /** Takes these ways from now on, and rules of thumb for all other classes; those of another adapter are left alone. */
  restore(choices: KernelChoices): void;
};

/**
 * kernelTuning — of the device in use; undefined where it has one way for everything, or does not time them (software adapters).
 *
 * Kernels cannot be timed when they are first called, since a call is synchronous: a training loop awaits `tune` after its first step.
 */
export const kernelTuning = (): KernelTuning | undefined => (engine().backend as { kernelTuning?: KernelTuning }).kernelTuning;
