import { toHalf, type GpuBackend, type StepNumber } from '@evenkeel/core-tensor';
import type { TensorInfo } from '@tensorflow/tfjs-core';
import type { GemmActivation } from './activations.ts';
import type { BatchAxes } from './batch.ts';
import { NO_EPILOGUE, type GemmForm } from './form.ts';
import { sumOfParts } from './sums.ts';
import { staticChoice, VARIANTS, type GemmLaunch, type GemmSizes } from './variants.ts';

/** GEMM_VERSION — to be raised when the variants change, so that what was remembered of the old ones is not used. */
export const GEMM_VERSION = 1;

/** GemmOperands — C = activation(scale · A·B + bias) + residual per pair: A is m × k, B k × n, row-major, either stored transposed. */
export type GemmOperands = {
  readonly m: number;
  readonly n: number;
  readonly k: number;
  readonly transposeA: boolean;
  readonly transposeB: boolean;
  readonly a: TensorInfo;
  readonly b: TensorInfo;
  readonly c: TensorInfo;
  /** How pairs are counted; default one pair. */
  readonly batch?: BatchAxes;
  readonly scale?: number | StepNumber;
  /** n numbers added to each row. */
  readonly bias?: TensorInfo;
  readonly activation?: GemmActivation;
  /** Where C is kept as the activation was given it; what is added at the end. Both laid out as C. */
  readonly before?: TensorInfo;
  readonly residual?: TensorInfo;
};

/**
 * gemm — computes C by the variant chosen for products of this class: k = 0 gives sums of 0, to which bias and so on are added.
 *
 * The result is a function of the operands and of the variant, which stays the same for a class unless somebody tunes.
 */
export function gemm(backend: GpuBackend, operands: GemmOperands): void {
  const { m, n, bias } = operands;
  const sizes = sizesOf(operands);
  if (m === 0 || n === 0 || sizes.batch === 0) return;
  if (n === 1 && m > 1 && bias === undefined) return gemm(backend, transposed(operands));
  const form = formOf(operands, backend.precision === 'f16');
  launch(backend, form.half === true ? halved(backend, operands) : operands, sizes, form, chosen(backend, sizes, form, operands.batch));
}

/** seeProduct — lets the class of a product, none of whose operands repeats, be tuned without computing it. */
export function seeProduct(backend: GpuBackend, sizes: GemmSizes, form: GemmForm): void {
  chosen(backend, sizes, form, { sizes: [1, 1, 1, sizes.batch], a: [0, 0, 0, 1], b: [0, 0, 0, 1] });
}

/** Cᵀ = Bᵀ·Aᵀ: a product with one column as one with one row, whose memory is the same. */
function transposed({ m, n, transposeA, transposeB, a, b, batch, ...rest }: GemmOperands): GemmOperands {
  const swapped = batch && { sizes: batch.sizes, a: batch.b, b: batch.a };
  return { ...rest, m: n, n: m, transposeA: !transposeB, transposeB: !transposeA, a: b, b: a, ...(swapped && { batch: swapped }) };
}

function sizesOf({ m, n, k, batch }: GemmOperands): GemmSizes {
  return { m, n, k, batch: batch === undefined ? 1 : batch.sizes.reduce((product, size) => product * size, 1) };
}

/** The operands rounded to f16, in half the memory. */
function halved(backend: GpuBackend, operands: GemmOperands): GemmOperands {
  const { a, b } = operands;
  const halfA = toHalf(backend, a);
  return { ...operands, a: halfA, b: b === a ? halfA : toHalf(backend, b) };
}

function formOf({ m, n, k, transposeA, transposeB, batch, bias, activation = 'linear', before, residual }: GemmOperands, half: boolean): GemmForm {
  return {
    ...(half && { half }),
    transposeA, transposeB,
    vecA: (transposeA ? m : k) % 4 === 0, vecB: (transposeB ? k : n) % 4 === 0, vecC: n % 4 === 0,
    batched: batch !== undefined && batch.sizes.some((size) => size > 1),
    epilogue: { activation, bias: bias !== undefined, before: before !== undefined, residual: residual !== undefined },
  };
}

/** Options — the plans of all variants that can compute a product, by name, the static choice first; their names; and its class. */
type Options = { readonly plans: ReadonlyMap<string, GemmLaunch>; readonly candidates: readonly string[]; readonly key: string };

/** Made once per product and device: a launch takes less time than making them. */
const known = new WeakMap<GpuBackend, Map<string, Options>>();
const MOST_KNOWN = 4096;

function optionsFor(backend: GpuBackend, sizes: GemmSizes, form: GemmForm): Options {
  let ofBackend = known.get(backend);
  if (ofBackend === undefined) known.set(backend, ofBackend = new Map<string, Options>());
  const key = JSON.stringify([sizes, form]);
  let options = ofBackend.get(key);
  if (options === undefined) {
    if (ofBackend.size >= MOST_KNOWN) ofBackend.clear();
    const plans = plansOf(backend, sizes, form);
    ofBackend.set(key, options = { plans, candidates: [...plans.keys()], key: classOf(sizes, form) });
  }
  return options;
}

function plansOf(backend: GpuBackend, sizes: GemmSizes, form: GemmForm): Map<string, GemmLaunch> {
  const byName = new Map(VARIANTS.map((variant) => [variant.name, variant]));
  const plans = new Map<string, GemmLaunch>();
  for (const name of [...staticChoice(sizes, backend.isSoftware), ...byName.keys()]) {
    const plan = byName.get(name)?.plan(sizes, form, backend);
    if (plan !== undefined && !plans.has(name)) plans.set(name, plan);
  }
  return plans;
}

function chosen(backend: GpuBackend, sizes: GemmSizes, form: GemmForm, batch: BatchAxes | undefined): GemmLaunch {
  const { plans, candidates, key } = optionsFor(backend, sizes, form);
  const name = backend.choose({
    family: 'matMul', version: GEMM_VERSION, key, candidates,
    trial: (candidate) => trial(backend, { sizes, form, batch }, plans.get(candidate) as GemmLaunch),
  });
  return plans.get(name) as GemmLaunch;
}

/** classOf — products that are timed as one: the same form, and sizes within a factor of √2 up or down. */
export function classOf({ m, n, k, batch }: GemmSizes, { transposeA, transposeB, vecA, vecB, vecC, batched, half = false, epilogue }: GemmForm): string {
  const scale = (size: number): string => (size <= 4 ? `${size}` : `2^${Math.round(Math.log2(size))}`);
  const vectors = [vecA, vecB, vecC].map((vec) => (vec ? 4 : 1)).join('');
  const end = [epilogue.activation, epilogue.bias && 'bias', epilogue.before && 'before', epilogue.residual && 'residual'].filter(Boolean).join('+');
  return [`${transposeA ? 'T' : 'N'}${transposeB ? 'T' : 'N'}`, `m${scale(m)}`, `n${scale(n)}`, `k${scale(k)}`, `${batched ? 'b' : ''}${scale(batch)}`, `v${vectors}`, half ? 'f16' : '', end].filter(Boolean).join(' ');
}

/** Runs a plan on tensors of its own, as large as those of the call, to be timed. */
function trial(backend: GpuBackend, { sizes, form, batch }: { sizes: GemmSizes; form: GemmForm; batch: BatchAxes | undefined }, plan: GemmLaunch): void {
  const { m, n, k } = sizes;
  const { epilogue: { activation, bias, before, residual }, transposeA, transposeB } = form;
  const output = (): TensorInfo => backend.temporary([sizes.batch, m, n]);
  launch(backend, {
    m, n, k, transposeA, transposeB, activation,
    a: backend.temporary([matricesOf(batch, 'a'), m, k]), b: backend.temporary([matricesOf(batch, 'b'), k, n]), c: output(),
    ...(batch && { batch }),
    ...(bias && { bias: backend.temporary([n]) }), ...(before && { before: output() }), ...(residual && { residual: output() }),
  }, sizes, form, plan);
}

/** How many matrices an operand has: fewer than there are pairs where it repeats. */
function matricesOf(batch: BatchAxes | undefined, operand: 'a' | 'b'): number {
  return batch === undefined ? 1 : batch.sizes.reduce((count, size, axis) => count + (size - 1) * (batch[operand][axis] as number), 1);
}

function launch(backend: GpuBackend, operands: GemmOperands, sizes: GemmSizes, form: GemmForm, { program, formOf: adapted, tilesM, tilesN, splits }: GemmLaunch): void {
  const { m, n, k, a, b, c, bias, before, residual, scale = 1, batch } = operands;
  const { epilogue } = form;
  const isSplit = splits > 1;
  const target = isSplit ? backend.temporary([splits, sizes.batch, m, n]) : c;
  const ends = { ...(bias && { bias }), ...(before && { before }), ...(residual && { residual }) };
  const count = tilesM * tilesN * sizes.batch * splits;
  backend.dispatch(program(adapted({ ...form, epilogue: isSplit ? NO_EPILOGUE : epilogue })), {
    tensors: { a, b, c: target, ...(isSplit ? {} : ends) },
    uniforms: {
      m, n, k, kPerSplit: 4 * Math.ceil(k / splits / 4), tilesM, tilesN, batch: sizes.batch, count, scale: isSplit ? 1 : scale,
      ...(form.batched && batch !== undefined && batchUniforms(batch)),
    },
    groups: backend.spread(count),
  });
  if (isSplit) sumOfParts(backend, { parts: target, count: splits, n, outputs: { c, ...ends }, epilogue, scale });
}

function batchUniforms({ sizes: [, size1, size2, size3], a: [a0, a1, a2, a3], b: [b0, b1, b2, b3] }: BatchAxes): Record<string, number> {
  return { size1, size2, size3, a0, a1, a2, a3, b0, b1, b2, b3 };
}

