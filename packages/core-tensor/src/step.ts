/**
 * What a training step that is captured must know. A captured step runs its JavaScript a few times and is then replayed by the
 * device alone; so whatever changes from one run to the next must be announced: numbers by `perStep`, changes of JavaScript's own
 * state by `everyStep`. Where nothing is captured both do what they say at once.
 */
import type { Tensor } from '@tensorflow/tfjs-core';
import { ShapeError } from './errors.ts';

/**
 * StepNumber — a number of a captured step, which each replay computes anew. Kernels take it as a uniform. In arithmetic, comparisons
 * by < and > and in text it is the number of the present run, and the step can then not be captured: the result would stay what it is
 * now. It is an object, though: `===` with a number is never true, and as a condition it always is. Nobody can notice that.
 */
export class StepNumber {
  readonly #compute: () => number;
  #value: number;

  constructor(compute: () => number) {
    this.#compute = compute;
    this.#value = compute();
  }

  /** The number of the present run. */
  read(): number {
    return this.#value;
  }

  /** Computes the number of the next run. */
  renew(): void {
    this.#value = this.#compute();
  }

  valueOf(): number {
    recorder?.refuse(`a number that changes from step to step (now ${this.#value}) was used in JavaScript`);
    return this.#value;
  }

  toString(): string {
    return String(this.valueOf());
  }
}

/** StepRecorder — a backend that is capturing a step. */
export type StepRecorder = {
  number(compute: () => number): StepNumber;
  effect(run: () => void): void;
  /** Makes what `f` launches depend on the values: nothing of it happens unless all are finite. Whether it was done so, and not skipped. */
  gate(values: readonly Tensor[], f: () => void, onRefusal: 'run' | 'skip'): boolean;
  /** The step cannot be captured, for that reason. */
  refuse(reason: string): void;
};

let recorder: StepRecorder | undefined;

/** recordStep — runs `f` with what it announces going to `by`: for backends. */
export function recordStep<T>(by: StepRecorder, f: () => T): T {
  const outer = recorder;
  recorder = by;
  try {
    return f();
  } finally {
    recorder = outer;
  }
}

/** isRecording — whether a captured step is being recorded: what is announced goes to it. */
export const isRecording = (): boolean => recorder !== undefined;

/** perStep — a number that depends on state which changes from step to step, such as a scheduled learning rate. */
export function perStep(compute: () => number): number | StepNumber {
  return recorder === undefined ? compute() : recorder.number(compute);
}

/** everyStep — a change of JavaScript's own state that belongs to each step, such as counting it. */
export function everyStep(run: () => void): void {
  run();
  recorder?.effect(run);
}

/** derived — a number computed from others, at least one of which may change from step to step. */
export function derived(numbers: readonly unknown[], compute: () => number): number | StepNumber {
  return numbers.some((each) => each instanceof StepNumber) ? perStep(compute) : compute();
}

/** currentNumber — the value of this run, without giving up the capture: for checks, and within `perStep`. */
export const currentNumber = (number: number | StepNumber): number => (typeof number === 'number' ? number : number.read());

/**
 * ifFinite — runs `f`, such as an update of the parameters. Where the step is captured, its launches do nothing, and variables stay
 * as they are, in a run in which one of the values is not finite; elsewhere the caller must have read and checked them.
 *
 * @param values     float32 scalars.
 * @param onRefusal  what to do where the step has turned out not to be one that can be captured, so that nothing is checked any more:
 *                   `run` f (default), or `skip` it, for a caller who then does the step in another way; if it turns out within f, what
 *                   f did to tensors and variables is undone, but not what it did to other state of JavaScript.
 * @returns          whether f counts: false if it was skipped or undone.
 * @throws ShapeError  if a value is not a float32 scalar.
 */
export function ifFinite(values: readonly Tensor[], f: () => void, onRefusal: 'run' | 'skip' = 'run'): boolean {
  for (const { size, dtype, shape } of values) {
    if (size !== 1 || dtype !== 'float32') throw new ShapeError(`ifFinite: values must be float32 scalars, got ${dtype} [${shape.join(', ')}]`);
  }
  if (recorder !== undefined) return recorder.gate(values, f, onRefusal);
  f();
  return true;
}
