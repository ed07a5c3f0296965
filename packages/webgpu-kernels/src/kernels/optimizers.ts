import { gpuProgram, memoised, type GpuBinding, type GpuKernel, type GpuKernelCall, type GpuScalar, type StepNumber } from '@evenkeel/core-tensor';
import type { TensorInfo } from '@tensorflow/tfjs-core';
import { eachTensor, listOf, numbered, numbersOf, partsOf, tensorsPerLaunch, vectorsOf, VECTORS_PER_GROUP, WITHOUT_DENORMALS, writableListOf } from './lists.ts';
import { sizeOf } from './kernel.ts';
import { factoredKernels } from './factored.ts';
import { listSumKernels } from './listSums.ts';
import { momentumKernels } from './momentum.ts';

/**
 * What optimizers do, for all parameters in few launches: as many tensors in each as the device can bind. Lists (`param.0`,
 * `param.1`, …) are float32 tensors of equal shapes.
 *
 * `evenkeel/adamw`: param, grad, mu, nu → updates; mu and nu are written over.
 * `evenkeel/scaledSums`: x, optionally y and `factor.0` (one number, or one per tensor) → factor·a·x + b·y, with attrs a, as?, b?, bs?: for all and for each.
 * `evenkeel/addScaled`: x, y → none; x becomes a·x + b·y.
 *
 * `learningRate`, `correction1`, `correction2`, `a` and `b` may be StepNumbers.
 */
export const optimizerKernels: readonly GpuKernel[] = [
  { name: 'evenkeel/adamw', run: adamw },
  { name: 'evenkeel/scaledSums', run: scaledSums },
  { name: 'evenkeel/addScaled', run: addScaled },
  ...momentumKernels,
  ...listSumKernels,
  ...factoredKernels,
];

type Live = number | StepNumber;

/**
 * AdamW (arXiv:1711.05101) for `count` tensors: one vec4 per invocation, read and written once; 5 bindings per tensor. The
 * vector in which a tensor ends may carry what lies beyond it along, from the padding of its buffers into their padding.
 */
const adamwProgram = memoised((count: number) => gpuProgram({
  name: 'adamw',
  bindings: numbered<GpuBinding>(count, (i) => ({
    [`param${i}`]: 'read vec4f', [`grad${i}`]: 'read vec4f', [`mu${i}`]: 'write vec4f', [`nu${i}`]: 'write vec4f', [`update${i}`]: 'write vec4f',
  })),
  uniforms: {
    learningRate: 'f32', beta1: 'f32', rest1: 'f32', beta2: 'f32', rest2: 'f32', eps: 'f32', correction1: 'f32', correction2: 'f32',
    ...numbered<GpuScalar>(count, (i) => ({ [`end${i}`]: 'u32', [`vectors${i}`]: 'u32', [`decay${i}`]: 'f32', [`scale${i}`]: 'f32' })),
  },
  workgroupSize: VECTORS_PER_GROUP,
  declarations: /* wgsl */ `
    ${WITHOUT_DENORMALS}
    fn direction(mu: vec4f, nu: vec4f) -> vec4f {
      return (mu / u.correction1) / (sqrt(nu / u.correction2) + u.eps);
    }`,
  main: eachTensor(count, (i) => /* wgsl */ `
      let at = (groupIndex - first) * ${VECTORS_PER_GROUP}u + localIndex;
      if (at < u.vectors${i}) {
        let g = grad${i}[at];
        let m = withoutDenormals(u.beta1 * mu${i}[at] + u.rest1 * g);
        let n = withoutDenormals(u.beta2 * nu${i}[at] + u.rest2 * (g * g));
        var step = direction(m, n);
        if (u.decay${i} != 0.0) { step += u.decay${i} * param${i}[at]; } // otherwise the parameter does not matter, be it NaN
        mu${i}[at] = m;
        nu${i}[at] = n;
        update${i}[at] = -(u.learningRate * u.scale${i}) * step;
      }`),
}));

function adamw(call: GpuKernelCall): TensorInfo[] {
  const { attrs, backend } = call;
  const params = listOf(call, 'adamw', 'param');
  const grads = listOf(call, 'adamw', 'grad', params);
  const mus = writableListOf(call, 'adamw', 'mu', params);
  const nus = writableListOf(call, 'adamw', 'nu', params);
  const updates = params.map(({ shape }) => backend.allocate(shape));
  const { beta1, beta2, weightDecays, scales } = attrs as { beta1: number; beta2: number; weightDecays: readonly number[]; scales?: readonly number[] };
  const { learningRate, eps, correction1, correction2 } = attrs as Record<string, Live>;
  const shared = { learningRate, beta1, rest1: 1 - beta1, beta2, rest2: 1 - beta2, eps, correction1, correction2 } as Record<string, Live>;
  for (const { places, ends, groups } of partsOf(params, tensorsPerLaunch(call, 5))) {
    const tensors: Record<string, TensorInfo> = {};
    const uniforms = { ...shared };
    places.forEach((place, i) => {
      tensors[`param${i}`] = params[place] as TensorInfo;
      tensors[`grad${i}`] = grads[place] as TensorInfo;
      tensors[`mu${i}`] = mus[place] as TensorInfo;
      tensors[`nu${i}`] = nus[place] as TensorInfo;
      tensors[`update${i}`] = updates[place] as TensorInfo;
      uniforms[`end${i}`] = ends[i] as number;
      uniforms[`vectors${i}`] = vectorsOf(params[place] as TensorInfo);
      uniforms[`decay${i}`] = weightDecays[place] as number;
      uniforms[`scale${i}`] = scales?.[place] ?? 1;
    });
    backend.dispatch(adamwProgram(places.length), { tensors, uniforms, groups: backend.spread(groups) });
  }
  return updates;
}

/**
 * out = factor · a · x + b · y for `count` tensors, one vec4 per invocation; y is not read where b is 0. In place (`out` is x):
 * 2 bindings per tensor, else 3, or 2 without y; one more for the factors. `perTensor`: one factor for each, at its place.
 */
const scaledSumsProgram = memoised((count: number, inPlace: boolean, hasY: boolean, hasFactor: boolean, perTensor: boolean) => gpuProgram({
  name: inPlace ? 'addScaled' : 'scaledSums',
  bindings: {
    ...numbered<GpuBinding>(count, (i) => ({
      ...(!inPlace && { [`x${i}`]: 'read vec4f' }), ...(hasY && { [`y${i}`]: 'read vec4f' }), [`out${i}`]: 'write vec4f',
    })),
    ...(hasFactor && { factors: 'read f32' }),
  },
  uniforms: {
    a: 'f32', ...(hasY && { b: 'f32' }),
    ...numbered<GpuScalar>(count, (i) => ({
      [`end${i}`]: 'u32', [`vectors${i}`]: 'u32', [`a${i}`]: 'f32', ...(hasY && { [`b${i}`]: 'f32' }), ...(perTensor && { [`place${i}`]: 'u32' }),
    })),
  },
  workgroupSize: VECTORS_PER_GROUP,
  main: eachTensor(count, (i) => /* wgsl */ `
      let at = (groupIndex - first) * ${VECTORS_PER_GROUP}u + localIndex;
      if (at < u.vectors${i}) {
        let a = u.a * u.a${i}${hasFactor ? ` * factors[${perTensor ? `u.place${i}` : '0'}]` : ''};
        var sum = a * ${inPlace ? 'out' : 'x'}${i}[at];
        ${hasY ? `let b = u.b * u.b${i};
        if (b != 0.0) { sum += b * y${i}[at]; }` : ''}
        out${i}[at] = sum;
      }`),
}));

type Sums = {
  readonly a: Live;
  readonly as?: readonly number[] | undefined;
  readonly xs?: readonly TensorInfo[];
  readonly ys?: readonly TensorInfo[] | undefined;
  readonly b?: Live;
  readonly bs?: readonly number[] | undefined;
  readonly factor?: TensorInfo | undefined;
  readonly outs: readonly TensorInfo[];
};

/** Without `xs` the sums are written over the first summand. */
function launchSums(call: GpuKernelCall, { a, as, xs, ys, b = 1, bs, factor, outs }: Sums): void {
  const { backend } = call;
  const each = 1 + (xs === undefined ? 0 : 1) + (ys === undefined ? 0 : 1);
  const perTensor = factor !== undefined && sizeOf(factor) !== 1;
  for (const { places, ends, groups } of partsOf(outs, tensorsPerLaunch(call, each, factor === undefined ? 0 : 1))) {
    const tensors: Record<string, TensorInfo> = factor === undefined ? {} : { factors: factor };
    const uniforms: Record<string, Live> = { a, b };
    places.forEach((place, i) => {
      if (xs !== undefined) tensors[`x${i}`] = xs[place] as TensorInfo;
      if (ys !== undefined) tensors[`y${i}`] = ys[place] as TensorInfo;
      tensors[`out${i}`] = outs[place] as TensorInfo;
      Object.assign(uniforms, {
        [`end${i}`]: ends[i], [`vectors${i}`]: vectorsOf(outs[place] as TensorInfo), [`a${i}`]: as?.[place] ?? 1, [`b${i}`]: bs?.[place] ?? 1, [`place${i}`]: place,
      });
    });
    const program = scaledSumsProgram(places.length, xs === undefined, ys !== undefined, factor !== undefined, perTensor);
    backend.dispatch(program, { tensors, uniforms, groups: backend.spread(groups) });
  }
}

function scaledSums(call: GpuKernelCall): TensorInfo[] {
  const { a, as, b, bs } = call.attrs as Pick<Sums, 'a' | 'as' | 'b' | 'bs'>;
  const xs = listOf(call, 'scaledSums', 'x');
  const ys = bs === undefined ? undefined : listOf(call, 'scaledSums', 'y', xs);
  const [factor] = listOf(call, 'scaledSums', 'factor');
  if (factor !== undefined && sizeOf(factor) !== 1) numbersOf(call, 'scaledSums', 'factor', xs);
  const outs = xs.map(({ shape }) => call.backend.allocate(shape));
  launchSums(call, { a, as, xs, ys, b, bs, factor, outs });
  return outs;
}

function addScaled(call: GpuKernelCall): TensorInfo[] {
  const { a, b } = call.attrs as { a: Live; b: Live };
  const outs = writableListOf(call, 'addScaled', 'x');
  launchSums(call, { a, ys: listOf(call, 'addScaled', 'y', outs), b, outs });
  return [];
}
