import { engine, tidy, type Tensor, type TensorContainer } from '@tensorflow/tfjs-core';
import { perStep, type StepNumber } from './step.ts';
import { treeEntries, treeFromEntries, treeLeaves, type Tree } from './tree.ts';

/** StepStatus — what has become of a step: not run yet, being recorded, replayed, or run by its JavaScript every time, and why. */
export type StepStatus =
  | { readonly state: 'new' | 'tracing' }
  | { readonly state: 'captured'; readonly launches: number }
  | { readonly state: 'eager'; readonly reason: string };

/** StepCaptureCore — a backend's part of a captured step. */
export type StepCaptureCore = {
  readonly status: StepStatus;
  run(inputs: readonly Tensor[], f: (inputs: Tensor[]) => Tensor[]): Tensor[];
  dispose(): void;
};

export type CapturedStep<I, K extends string, R> = ((inputs: I, numbers: Readonly<Record<K, number>>) => R) & {
  /** What has become of it on the device that was used last. */
  readonly status: () => StepStatus;
  /** Frees what the device keeps for it; the next call begins anew. */
  readonly dispose: () => void;
};

/** canCapture — whether the device in use records and replays steps. */
export const canCapture = (): boolean => (engine().backend as { capture?: unknown }).capture !== undefined;

/** StepNumbers — the numbers of a step as its function sees them. */
export type StepNumbers<K extends string> = { readonly [P in K]: number | StepNumber };

/**
 * captureStep — a function of tensors, such as a whole training step, that a device which can do so records and then replays
 * without running its JavaScript: with `webgpu()` of @evenkeel/webgpu-kernels. On other devices `fn` runs every time.
 *
 * The first calls run `fn`; once two in a row launch the same, later calls only repeat these launches. Whatever changes from call
 * to call must reach `fn` as an input or as a number, or be announced by `perStep` and `everyStep`; variables that `fn` changes keep
 * changing. Other effects of `fn` on JavaScript's state happen only while it is recorded. A step that cannot be repeated (it reads a
 * value back, or a value of the CPU changes) is run every time; `status()` says why. New shapes of inputs are recorded anew.
 *
 * @param fn  `inputs` is a tree of tensors, `numbers` an object of numbers (within a recording StepNumbers, for seeds and uniforms);
 *            returns a tree of tensors.
 * @returns   the same function; inputs stay the caller's, results are the caller's and never overwritten.
 */
export function captureStep<I extends Tree<Tensor>, K extends string, R extends Tree<Tensor>>(
  fn: (inputs: I, numbers: StepNumbers<K>) => R,
): CapturedStep<I, K, R> {
  let core: { readonly backend: unknown; readonly capture: StepCaptureCore } | undefined;
  let now = {} as Readonly<Record<K, number>>;
  let like: R | undefined;
  const run = (inputs: I, numbers: Readonly<Record<K, number>>): R => {
    now = numbers;
    const backend = engine().backend as { capture?: () => StepCaptureCore };
    if (backend.capture === undefined) return tidy('step', () => fn(inputs, numbers) as TensorContainer) as R;
    if (core?.backend !== backend) core = { backend, capture: backend.capture() };
    const results = core.capture.run(treeLeaves<Tensor>(inputs), (leaves) => {
      const given = treeFromEntries<Tensor>(inputs, treeEntries<Tensor>(inputs).map(([path], i) => [path, leaves[i] as Tensor])) as I;
      const names = Object.keys(numbers) as K[];
      const live = Object.fromEntries(names.map((name) => [name, perStep(() => now[name])])) as StepNumbers<K>;
      like = fn(given, live);
      return treeLeaves<Tensor>(like);
    });
    return treeFromEntries<Tensor>(like as R, treeEntries<Tensor>(like as R).map(([path], i) => [path, results[i] as Tensor])) as R;
  };
  return Object.assign(run, {
    status: (): StepStatus => (canCapture() ? core?.capture.status ?? { state: 'new' } : { state: 'eager', reason: 'the device does not replay steps' }),
    dispose: (): void => {
      core?.capture.dispose();
      core = undefined;
    },
  });
}
