import { add, clone, engine, getKernel, tidy, type NamedAttrMap, type NamedTensorMap, type Tensor } from '@tensorflow/tfjs-core';
import { engineInternals } from './engineInternals.ts';
import { ConfigError, UnsupportedError } from './errors.ts';
import { registerGpuKernels, type GpuKernel } from './gpu/backend.ts';
import { currentWalk } from './tape.ts';
import { vjp } from './valueAndGrad.ts';

/** FusedInputs — tensors by name; an optional one may be undefined. */
export type FusedInputs = { readonly [name: string]: Tensor | undefined };

/** GradientContext — what a fused gradient may read: the incoming gradients, the inputs, and the outputs it asked to keep. */
export type GradientContext<I, A> = {
  /** Gradient with respect to the first output; `dys` has one per output. */
  readonly dy: Tensor;
  readonly dys: readonly Tensor[];
  readonly inputs: I;
  /** The kernel outputs named by `saveOutputs`, in that order. */
  readonly outputs: readonly Tensor[];
  readonly attrs: A;
  /** Whether anybody asks for the gradient of an input: for kernels that make several gradients at once. */
  readonly wants: (input: keyof I) => boolean;
};

export type FusedGradient<I, A> = {
  /** Kernels that `run` calls: where the backend lacks one, the gradient goes through the reference. */
  readonly kernels: readonly string[];
  /** Indices of kernel outputs to keep for the backward pass; those that a kernel did not give are left out. */
  readonly saveOutputs?: readonly number[];
  /**
   * The inputs that `run` reads: the others are kept only where a second derivative may be asked for. Default all. False for an op
   * that is linear in its inputs, so that none is ever kept; it must be differentiable twice.
   */
  readonly readsInputs?: false | readonly (keyof I)[];
  /** One gradient per differentiable input: a tensor, or a function called only if that gradient is needed. */
  readonly run: (context: GradientContext<I, A>) => { readonly [K in keyof I]?: Tensor | (() => Tensor) };
};

export type FusedOpSpec<I extends FusedInputs, A, R> = {
  /** Kernel name, `evenkeel/…`: backends register under it with tfjs' `registerKernel`. */
  readonly name: string;
  /** The truth: the same function made of tfjs ops. Runs where a backend has no kernel, and for second derivatives. */
  readonly reference: (inputs: I, attrs: A) => R;
  /** How many outputs of a kernel are results, if not all: those after them exist for the gradient only. */
  readonly results?: number;
  readonly gradient?: FusedGradient<I, A>;
  /** Kernels of the op and its gradient for the WebGPU backend, if they are not its own: they are registered with the op. */
  readonly gpuKernels?: readonly GpuKernel[];
  /** `once`: second derivatives go through the reference. `twice`: `gradient.run` is itself made of differentiable ops. */
  readonly differentiable: 'once' | 'twice';
};

/** hasKernel — whether the active backend has a kernel of that name. */
export function hasKernel(name: string): boolean {
  const internals = engineInternals();
  void internals.backend; // the first access initialises the default backend, and with it backendName
  return getKernel(name, internals.backendName) !== undefined;
}

/** runKernel — calls a kernel of the active backend; absent inputs are left out. Several outputs come as an array. */
export function runKernel<R extends Tensor | Tensor[] = Tensor>(name: string, inputs: FusedInputs, attrs: object = {}): R {
  return engine().runKernel(name, presentInputs(inputs), attrs as NamedAttrMap) as R;
}

/**
 * fusedOp — one operation with many kernels (one per backend, registered under `spec.name`) and one readable reference.
 *
 * The returned function runs the active backend's kernel, or the reference where there is none. Its gradient runs the fused
 * gradient's kernels, or differentiates the reference where a kernel is missing or a second derivative is being recorded:
 * so every fused op works on every tfjs backend, with first derivatives also under tfjs' own `grad` functions. For higher orders
 * nest `valueAndGrad`: it goes as far as the reference allows, where tfjs' own `grad` within `grad` loses paths in silence.
 *
 * @returns  `(inputs, attrs) => result`; the result is what the reference returns, owned by the caller.
 */
export function fusedOp<I extends FusedInputs, A extends object, R extends Tensor | Tensor[] = Tensor>(
  spec: FusedOpSpec<I, A, R>,
): (inputs: I, attrs: A) => R {
  if (spec.gradient?.readsInputs === false && spec.differentiable === 'once') {
    throw new ConfigError(`fusedOp: ${spec.name} must be differentiable twice to read no inputs, got once`);
  }
  registerGpuKernels(spec.gpuKernels ?? []);
  return (inputs, attrs) => {
    if (!hasKernel(spec.name)) return tidy(spec.name, () => spec.reference(inputs, attrs));
    const present = presentInputs(inputs);
    const { saveOutputs = [] } = spec.gradient ?? {};
    const names = namesToKeep(spec, Object.keys(present));
    const isRecorded = engineInternals().isTapeOn();
    const walkBefore = currentWalk();
    const wants = (input: keyof I): boolean => {
      const tensor = present[input as string];
      const walk = currentWalk();
      // Only a walk that has begun since can be one of ours over this call; one of tfjs' own does not say what it wants.
      return tensor !== undefined && (walk === walkBefore || walk.has(tensor.id));
    };
    return engineInternals().runKernelFunc({
      inputs: present,
      forwardFunc: (_, save) => {
        const outputs = runKernel<Tensor | Tensor[]>(spec.name, inputs, attrs);
        const list = Array.isArray(outputs) ? outputs : [outputs];
        save([...names.map((name) => present[name] as Tensor), ...saveOutputs.flatMap((index) => list[index] ?? [])]);
        const { results = list.length } = spec;
        if (isRecorded) announceKept(saveOutputs.filter((index) => index >= results && index < list.length).length);
        return Array.isArray(outputs) && results > 1 ? list.slice(0, results) : (list[0] as Tensor);
      },
      backwardsFunc: (dy, saved) => {
        const kept = { names, keepsAll: names.length === Object.keys(present).length, saved };
        return gradientsOf(spec, attrs, kept, wants, Array.isArray(dy) ? dy : [dy]);
      },
    }) as R;
  };
}

/** Which inputs the gradient will read; within a single recording it is the fused one. */
function namesToKeep<I extends FusedInputs, A, R>({ gradient }: FusedOpSpec<I, A, R>, names: string[]): string[] {
  if (gradient?.readsInputs === undefined) return names;
  if (gradient.readsInputs === false) return [];
  const { readsInputs, kernels } = gradient;
  const mayNeedReference = engineInternals().state.gradientDepth > 1 || !kernels.every(hasKernel);
  return mayNeedReference ? names : names.filter((name) => readsInputs.includes(name));
}

/** With its flag IS_TEST tfjs counts what an operation leaves behind: data kept for the gradient must be counted like data it moved. */
function announceKept(count: number): void {
  const moves = engineInternals().state.numDataMovesStack;
  if (moves.length > 0) moves[moves.length - 1] = (moves.at(-1) as number) + count;
}

function presentInputs(inputs: FusedInputs): NamedTensorMap {
  return Object.fromEntries(Object.entries(inputs).filter((entry): entry is [string, Tensor] => entry[1] !== undefined));
}

/** Kept — the inputs by name, then outputs, that were kept for the gradient; `keepsAll`: no input is missing. */
type Kept = { readonly names: readonly string[]; readonly keepsAll: boolean; readonly saved: readonly Tensor[] };

function gradientsOf<I extends FusedInputs, A, R>(
  spec: FusedOpSpec<I, A, R>, attrs: A, { names, keepsAll, saved }: Kept, wants: (input: keyof I) => boolean, dys: readonly Tensor[],
): Record<string, () => Tensor> {
  const inputs = Object.fromEntries(names.map((name, i) => [name, saved[i] as Tensor])) as unknown as I;
  const { gradient } = spec;
  const isSecondOrder = spec.differentiable === 'once' && engineInternals().isTapeOn();
  const isFused = gradient !== undefined && !isSecondOrder && gradient.kernels.every(hasKernel);
  if (!isFused && !keepsAll) {
    throw new UnsupportedError(`fusedOp: the backend of ${spec.name} must stay selected until its gradient has been computed, got another`);
  }
  const grads: { readonly [name: string]: Tensor | (() => Tensor) | undefined } = isFused
    ? gradient.run({ dy: dys[0] as Tensor, dys, inputs, outputs: saved.slice(names.length), attrs, wants })
    : referenceGradient(spec, inputs, attrs, dys);
  return Object.fromEntries(Object.entries(grads).map(([name, grad]) => [name, () => owned((typeof grad === 'function' ? grad() : grad) as Tensor, dys)]));
}

/** A gradient that is an incoming one itself would be freed with it, or in its place: tfjs takes what it is given for its own. */
const owned = (grad: Tensor, dys: readonly Tensor[]): Tensor => (dys.includes(grad) ? clone(grad) : grad);

/** Differentiates the reference: the sum over outputs of their inner products with `dys`. */
function referenceGradient<I extends FusedInputs, A, R>(spec: FusedOpSpec<I, A, R>, inputs: I, attrs: A, dys: readonly Tensor[]): Record<string, Tensor> {
  const names = Object.keys(inputs).filter((name) => inputs[name]?.dtype === 'float32');
  const xs = names.map((name) => inputs[name] as Tensor);
  const gradsOfOutput = (dy: Tensor, index: number): Tensor[] => vjp(() => {
    const result = spec.reference(inputs, attrs) as Tensor | Tensor[];
    return Array.isArray(result) ? (result[index] as Tensor) : result;
  }, xs, dy).grads;
  const perOutput = dys.map(gradsOfOutput);
  return Object.fromEntries(names.map((name, i) => [name, addAll(perOutput.map((grads) => grads[i] as Tensor))]));
}

const addAll = (tensors: readonly Tensor[]): Tensor => tensors.reduce((sum, tensor) => add(sum, tensor));
