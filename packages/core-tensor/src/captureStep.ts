import { clone, engine, Tensor, tidy, type TensorContainer } from '@tensorflow/tfjs-core';
import { checkFunction } from './check.ts';
import { engineInternals } from './engineInternals.ts';
import { ConfigError } from './errors.ts';
import { isRecording, perStep, type StepNumber } from './step.ts';
import { treeEntries, treeFromEntries, treeLeaves, treeMap, type Tree } from './tree.ts';

/** StepStatus — what has become of a step: not run yet, being recorded, replayed, or run by its JavaScript every time, and why. */
export type StepStatus =
  | { readonly state: 'new' | 'tracing' }
  | { readonly state: 'captured'; readonly launches: number }
  | { readonly state: 'eager'; readonly reason: string };

/** StepCaptureCore — a backend's part of a captured step. */
export type StepCaptureCore = {
  readonly status: StepStatus;
  /** `key`: equal for calls that may be replays of each other. */
  run(key: string, inputs: readonly Tensor[], f: (inputs: Tensor[]) => Tensor[]): Tensor[];
  dispose(): void;
};

export type CapturedStep<I, K extends string, R> = ((inputs: I, numbers?: Readonly<Record<K, number>>) => R) & {
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
 * value back, or a value of the CPU changes) is run every time; `status()` says why. Inputs of other shapes or names are recorded
 * apart, four of them at most. After 2, 4, 8, … 64 replays and every 64 from then on `fn` runs once more, and must still do the same.
 *
 * Within another captured step it is part of that one, and under a gradient `fn` runs as it is.
 *
 * @param fn  `inputs` is a tree of tensors, `numbers` an object of numbers: within a recording StepNumbers, for seeds, uniforms and
 *            `stepScalar`; returns a tree of tensors. Not asynchronous.
 * @returns   the same function; inputs stay the caller's, results are the caller's and never overwritten.
 * @throws ConfigError        if an input is no tensor or disposed, a number is missing or none, or `fn` returns a promise.
 * @throws UnsupportedError   if a settled step turns out to do something else than it did: replays since then may have been wrong.
 */
export function captureStep<I extends Tree<Tensor>, K extends string, R extends Tree<Tensor>>(
  fn: (inputs: I, numbers: StepNumbers<K>) => R,
): CapturedStep<I, K, R> {
  checkFunction('captureStep', 'fn', fn, 'a step: (inputs, numbers) => tensors');
  let core: { readonly backend: unknown; readonly capture: StepCaptureCore } | undefined;
  let now = {} as Readonly<Record<K, number>>;
  let names: string | undefined;
  const likes = new Map<string, R>();
  const run = (inputs: I, numbers = {} as Readonly<Record<K, number>>): R => {
    const entries = treeEntries<Tensor>(inputs);
    checkInputs(entries);
    if (isRecording() || engineInternals().isTapeOn()) return fn(inputs, numbers);
    names = checkNumbers(numbers, names);
    const backend = engine().backend as { capture?: () => StepCaptureCore };
    // Clones: `fn` may assign a variable that it is given, or dispose; a result may be a variable, which changes, or an input.
    const given = (leaves: readonly Tensor[]): I => treeFromEntries<Tensor>(inputs, entries.map(([path], i) => [path, clone(leaves[i] as Tensor)])) as I;
    if (backend.capture === undefined) {
      return tidy('step', () => treeMap((result: Tensor) => clone(result), checkResult(explained(() => fn(given(entries.map(([, leaf]) => leaf)), numbers)))) as TensorContainer) as R;
    }
    now = numbers;
    if (core?.backend !== backend) core = { backend, capture: backend.capture() };
    const key = entries.map(([path, { dtype, shape }]) => `${path} ${dtype}[${shape.join()}]`).join();
    const results = core.capture.run(key, entries.map(([, tensor]) => tensor), (leaves) => {
      const live = Object.fromEntries(Object.keys(numbers).sort().map((name) => [name, perStep(() => now[name as K])])) as StepNumbers<K>;
      const result = checkResult(explained(() => fn(given(leaves), live)));
      likes.set(key, result);
      return treeLeaves<Tensor>(result);
    });
    const like = likes.get(key) as R;
    return treeFromEntries<Tensor>(like, treeEntries<Tensor>(like).map(([path], i) => [path, results[i] as Tensor])) as R;
  };
  return Object.assign(run, {
    status: (): StepStatus => (canCapture() ? core?.capture.status ?? { state: 'new' } : { state: 'eager', reason: 'the device does not replay steps' }),
    dispose: (): void => {
      core?.capture.dispose();
      core = undefined;
    },
  });
}

const DTYPES: ReadonlySet<string> = new Set(['float32', 'int32', 'bool']);

/** tfjs knows nothing of StepNumbers. */
function explained<R>(f: () => R): R {
  try {
    return f();
  } catch (error) {
    if (error instanceof Error && error.message.endsWith("but got 'StepNumber'")) error.message += '. A number of the step becomes a tensor by stepScalar(number).';
    throw error;
  }
}

function checkInputs(entries: readonly (readonly [path: string, leaf: unknown])[]): void {
  for (const [path, leaf] of entries) {
    const arg = path === '' ? 'inputs' : `inputs.${path}`;
    if (!(leaf instanceof Tensor)) throw new ConfigError(`captureStep: ${arg} must be a tensor, got ${leaf === null ? 'null' : typeof leaf}`);
    if (leaf.isDisposed) throw new ConfigError(`captureStep: ${arg} must be alive, got a tensor that is disposed`);
    if (!DTYPES.has(leaf.dtype)) throw new ConfigError(`captureStep: ${arg} must be float32, int32 or bool, got ${leaf.dtype}`);
  }
}

/** The names of all calls are those of the first. */
function checkNumbers(numbers: Readonly<Record<string, number>>, names: string | undefined): string {
  const given = Object.keys(numbers).sort().join(', ');
  if (names !== undefined && names !== given) throw new ConfigError(`captureStep: numbers must be ${names || 'none'} in every call, got ${given || 'none'}`);
  for (const [name, value] of Object.entries(numbers)) {
    if (typeof value !== 'number') throw new ConfigError(`captureStep: numbers.${name} must be a number, got ${typeof value}`);
  }
  return given;
}

function checkResult<R>(result: R): R {
  if (result instanceof Promise) throw new ConfigError('captureStep: fn must return tensors, got a promise; read values after the step');
  return result;
}
