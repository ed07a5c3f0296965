import { add, clone, ones, tidy, type Tensor } from '@tensorflow/tfjs-core';
import { engineInternals, type TapeNode } from './engineInternals.ts';
import { ShapeError, UnsupportedError } from './errors.ts';
import { ensureGradients } from './registerGradients.ts';

/** Recording — the result of a function, the operations that led to it, and whether nobody else needs them afterwards. */
export type Recording = { readonly value: Tensor; readonly tape: readonly TapeNode[]; readonly isOutermost: boolean };

/**
 * record — runs `f` with tfjs' tape on.
 *
 * Inside another recording the operations stay on the outer tape too, which is what makes second derivatives possible; then
 * the saved tensors belong to the outer recording. When `f` throws, what the tape saved is freed.
 */
export function record(f: () => Tensor): Recording {
  ensureGradients();
  const engine = engineInternals();
  const { state } = engine;
  const { activeTape, gradientDepth, kernelDepth } = state;
  // Within a kernel (a rematerialised function) tfjs records nothing: such a recording starts afresh and stands alone.
  if (kernelDepth > 0) Object.assign(state, { gradientDepth: 0, kernelDepth: 0, activeTape: null });
  const isOutermost = state.gradientDepth === 0;
  engine.startTape();
  // What an outer recording did before is a constant here, even where one of our inputs was made from another.
  const begin = state.activeTape?.length ?? 0;
  try {
    const value = tidy('forward', f);
    return { value, tape: (state.activeTape ?? []).slice(begin), isOutermost };
  } catch (error) {
    if (isOutermost) freeSaved(state.activeTape ?? []);
    throw error;
  } finally {
    engine.endTape();
    // A tape of ours may have been opened in the middle of somebody's backward walk: give theirs back.
    if (isOutermost) state.activeTape = activeTape;
    Object.assign(state, { gradientDepth, kernelDepth });
  }
}

/** freeSaved — releases everything that the nodes kept for their gradients. */
export function freeSaved(tape: readonly TapeNode[]): void {
  for (const node of tape) node.saved?.forEach((tensor) => tensor.dispose());
}

/**
 * backpropagate — the gradients of `value` with respect to `xs`, walking the tape backwards.
 *
 * Departs from tfjs' own walk in five ways. Each incoming gradient and each saved tensor is freed as soon as its last reader
 * has used it. Nodes are visited in the order of their data, not of their recording: tfjs records the saved copy of an output
 * before the operation that makes it, and thereby loses that path in second derivatives. Gradients flow through float32
 * tensors only, so comparisons and masks end them instead of throwing. Nothing leaks when a gradient throws. Second derivatives that
 * the tape cannot know are refused (see `checkKept`).
 *
 * @param dy  gradient of the result with respect to `value`; default all ones. Borrowed.
 * @returns   one gradient per `x`, or `undefined` where none arrived. Must be called within a tidy.
 */
export function backpropagate({ value, tape, isOutermost }: Recording, xs: readonly Tensor[], dy?: Tensor): (Tensor | undefined)[] {
  try {
    const ordered = sortByData(tape);
    const { path, fromXs } = pathBetween(ordered, xs, value);
    checkKept(ordered, fromXs, value);
    if (isOutermost) freeSaved(ordered.filter((node) => !path.has(node)));
    const wanted = new Set(xs.map((x) => x.id));
    const dys = new Map<number, Tensor>([[value.id, dy === undefined ? ones(value.shape) : clone(dy)]]);
    for (const node of [...path].reverse()) {
      propagateThrough(node, fromXs, dys);
      if (isOutermost) freeSaved([node]);
      for (const { id } of node.outputs) {
        if (wanted.has(id)) continue;
        dys.get(id)?.dispose();
        dys.delete(id);
      }
    }
    return xs.map((x, i) => ownGradient(dys.get(x.id), xs.indexOf(x) < i));
  } finally {
    if (isOutermost) freeSaved(tape);
  }
}

/** A tensor that stands at several places of `xs` gets a gradient of its own for each. */
const ownGradient = (dx: Tensor | undefined, isRepeated: boolean): Tensor | undefined => (dx !== undefined && isRepeated ? clone(dx) : dx);

/** Ids of the tensors that the walk in progress differentiates through: what a gradient may not lose. */
let walked: ReadonlySet<number> = new Set();

/** isWalked — whether the walk in progress, from within which this is called, carries gradients to or through `tensor`. */
export const isWalked = (tensor: Tensor): boolean => walked.has(tensor.id);

/** currentWalk — the ids of the tensors that the walk in progress carries gradients to; one and the same empty set where none is. */
export const currentWalk = (): ReadonlySet<number> => walked;

/** Runs `f`, a gradient, as part of the walk that differentiates through `fromXs`. */
function duringWalk<T>(fromXs: ReadonlySet<number>, f: () => T): T {
  const outer = walked;
  walked = fromXs;
  try {
    return f();
  } finally {
    walked = outer;
  }
}

/** Adds the gradients that `node` sends to its inputs to `dys`. */
function propagateThrough(node: TapeNode, fromXs: ReadonlySet<number>, dys: Map<number, Tensor>): void {
  const incoming = node.outputs.map((output) => dys.get(output.id));
  if (incoming.every((dy) => dy === undefined)) return;
  const { gradient } = node;
  if (gradient === undefined) throw new UnsupportedError(`valueAndGrad: kernel ${nameOf(node)} must have a gradient, got none registered`);
  const targets = inputsOf(node).filter(([, input]) => fromXs.has(input.id));
  const firstNew = engineInternals().nextTensorId();
  const outgoing = duringWalk(fromXs, () => tidy(() => {
    const closures = gradient(incoming);
    const used = new Set<Tensor>();
    return targets.map(([name, input]) => {
      const dx = checkedGradient(closures[name]?.(), node, name, input);
      const isShared = dx.id < firstNew || used.has(dx);
      used.add(dx);
      return isShared ? clone(dx) : dx; // every entry of dys is owned by dys alone
    });
  }));
  targets.forEach(([, input], i) => accumulate(dys, input.id, outgoing[i] as Tensor));
}

function accumulate(dys: Map<number, Tensor>, id: number, dx: Tensor): void {
  const previous = dys.get(id);
  dys.set(id, previous === undefined ? dx : add(previous, dx));
  if (previous === undefined) return;
  previous.dispose();
  dx.dispose();
}

function checkedGradient(dx: Tensor | undefined, node: TapeNode, name: string, input: Tensor): Tensor {
  if (dx === undefined) throw new UnsupportedError(`valueAndGrad: kernel ${nameOf(node)} must have a gradient for ${name}, got none`);
  const isFitting = dx.dtype === 'float32' && dx.shape.length === input.shape.length && dx.shape.every((size, axis) => size === input.shape[axis]);
  if (isFitting) return dx;
  throw new ShapeError(
    `valueAndGrad: the gradient of ${nameOf(node)} for ${name} must be float32 [${input.shape.join(', ')}], got ${dx.dtype} [${dx.shape.join(', ')}]`);
}

/** A node is named after its kernel or, for a custom gradient, after tfjs' scope, which has a suffix. */
const nameOf = ({ kernelName }: TapeNode): string => kernelName.replace(/__op$/, '');

/** The inputs that are there: optional ones may be undefined. */
function inputsOf({ inputs }: TapeNode): [name: string, input: Tensor][] {
  return Object.entries(inputs).filter(([, input]) => input !== undefined && input !== null);
}

const isDifferentiable = (tensor: Tensor): boolean => tensor.dtype === 'float32';

/** Moves each node behind the producers of all its inputs. Only saved copies of outputs ever stand too early. */
function sortByData(tape: readonly TapeNode[]): TapeNode[] {
  const producer = new Map<number, number>();
  tape.forEach((node, index) => node.outputs.forEach((output) => producer.set(output.id, index)));
  const postponed = new Map<number, TapeNode[]>();
  const ordered: TapeNode[] = [];
  tape.forEach((node, index) => {
    const latest = inputsOf(node).reduce((last, [, input]) => Math.max(last, producer.get(input.id) ?? -1), -1);
    if (latest > index) postponed.set(latest, [...(postponed.get(latest) ?? []), node]);
    else ordered.push(node);
    ordered.push(...(postponed.get(index) ?? []));
  });
  return ordered;
}

/** The nodes through which `xs` influence `value`, in order, and the ids of all tensors that `xs` influence. */
function pathBetween(ordered: readonly TapeNode[], xs: readonly Tensor[], value: Tensor): { path: Set<TapeNode>; fromXs: Set<number> } {
  const fromXs = new Set(xs.map((x) => x.id));
  const reached = ordered.filter((node) => {
    if (!inputsOf(node).some(([, input]) => fromXs.has(input.id))) return false;
    node.outputs.filter(isDifferentiable).forEach((output) => fromXs.add(output.id));
    return true;
  });
  const towardsValue = new Set([value.id]);
  const path = reached.reverse().filter((node) => {
    if (!node.outputs.some((output) => towardsValue.has(output.id) && fromXs.has(output.id))) return false;
    inputsOf(node).forEach(([, input]) => towardsValue.add(input.id));
    return true;
  });
  return { path: new Set(path.reverse()), fromXs };
}

/**
 * Refuses second derivatives that would lose a path without a word: through an operation that keeps, for its gradient, a value
 * from its own inside. Such a value is neither an input nor an output, so nothing on the tape says what it depends on.
 */
function checkKept(ordered: readonly TapeNode[], fromXs: ReadonlySet<number>, value: Tensor): void {
  const needed = new Set([value.id]);
  const copyOf = new Map<number, number>();
  for (const node of [...ordered].reverse()) {
    const inputs = inputsOf(node).map(([, input]) => input.id);
    if (node.outputs.some(({ id }) => needed.has(id))) inputs.forEach((id) => needed.add(id));
    if (inputs.length === 1) copyOf.set((node.outputs[0] as Tensor).id, inputs[0] as number);
  }
  for (const node of ordered) {
    const read = (node.saved ?? []).filter((kept) => isDifferentiable(kept) && needed.has(kept.id));
    if (read.length === 0 || !inputsOf(node).some(([, input]) => fromXs.has(input.id))) continue;
    const known = new Set([...inputsOf(node).map(([, input]) => input.id), ...node.outputs.map(({ id }) => id)]);
    if (read.every((kept) => known.has(copyOf.get(kept.id) ?? kept.id))) continue;
    throw new UnsupportedError(`valueAndGrad: ${nameOf(node)} must keep only inputs and outputs to be differentiated twice, got a value from its inside`);
  }
}
