import { gpuProgram, memoised, type GpuBinding, type GpuKernel, type GpuKernelCall, type GpuScalar, type StepNumber } from '@evenkeel/core-tensor';
import type { TensorInfo } from '@tensorflow/tfjs-core';
import { eachTensor, listOf, numbered, numbersOf, partsOf, tensorsPerLaunch, vectorsOf, VECTORS_PER_GROUP, WITHOUT_DENORMALS, writableListOf } from './lists.ts';

/**
 * `evenkeel/momentum`: param, grad, mu, optionally `factor.0` and `outFactor.0` (one number per tensor) → updates; mu is written over.
 *
 * attrs: learningRate, keep, take, aheadKeep, aheadTake (each may be a StepNumber), sign, weightDecays, optionally penalties (0), scales (1).
 */
export const momentumKernels: readonly GpuKernel[] = [{ name: 'evenkeel/momentum', run: momentum }];

/**
 * The step of an optimizer that keeps one mean, for `count` tensors, one vec4 per invocation; 4 bindings per tensor:
 *
 *     g' = factor · (grad + penalty · param)          d = aheadKeep · mu + aheadTake · g'
 *     mu ← keep · mu + take · g'                      update = −learningRate · scale · (outFactor · d + decay · param)
 */
const momentumProgram = memoised((count: number, isSign: boolean, hasFactor: boolean, hasOutFactor: boolean) => gpuProgram({
  name: 'momentum',
  bindings: {
    ...numbered<GpuBinding>(count, (i) => ({ [`param${i}`]: 'read vec4f', [`grad${i}`]: 'read vec4f', [`mu${i}`]: 'write vec4f', [`update${i}`]: 'write vec4f' })),
    ...(hasFactor && { factors: 'read f32' }), ...(hasOutFactor && { outFactors: 'read f32' }),
  },
  uniforms: {
    learningRate: 'f32', keep: 'f32', take: 'f32', aheadKeep: 'f32', aheadTake: 'f32',
    ...numbered<GpuScalar>(count, (i) => ({ [`end${i}`]: 'u32', [`vectors${i}`]: 'u32', [`decay${i}`]: 'f32', [`penalty${i}`]: 'f32', [`scale${i}`]: 'f32', [`place${i}`]: 'u32' })),
  },
  workgroupSize: VECTORS_PER_GROUP,
  declarations: /* wgsl */ `
    ${WITHOUT_DENORMALS}
    /** 1 above zero, -1 below, and x itself where it is neither: zero or NaN. */
    fn signOf(x: vec4f) -> vec4f { return select(select(x, vec4f(-1.0), x < vec4f(0.0)), vec4f(1.0), x > vec4f(0.0)); }`,
  main: eachTensor(count, (i) => /* wgsl */ `
      let at = (groupIndex - first) * ${VECTORS_PER_GROUP}u + localIndex;
      if (at < u.vectors${i}) {
        var g = grad${i}[at];
        if (u.penalty${i} != 0.0) { g += u.penalty${i} * param${i}[at]; } // otherwise the parameter does not matter, be it NaN
        ${hasFactor ? `g *= factors[u.place${i}];` : ''}
        let m = mu${i}[at];
        let ahead = u.aheadKeep * m + u.aheadTake * g;
        var step = ${isSign ? 'signOf(ahead)' : 'ahead'}${hasOutFactor ? ` * outFactors[u.place${i}]` : ''};
        if (u.decay${i} != 0.0) { step += u.decay${i} * param${i}[at]; }
        mu${i}[at] = withoutDenormals(u.keep * m + u.take * g);
        update${i}[at] = -(u.learningRate * u.scale${i}) * step;
      }`),
}));

type MomentumAttrs = Readonly<Record<'learningRate' | 'keep' | 'take' | 'aheadKeep' | 'aheadTake', number | StepNumber>> & {
  readonly sign?: boolean; readonly weightDecays: readonly number[]; readonly penalties?: readonly number[]; readonly scales?: readonly number[];
};

function momentum(call: GpuKernelCall): TensorInfo[] {
  const { backend } = call;
  const params = listOf(call, 'momentum', 'param');
  const grads = listOf(call, 'momentum', 'grad', params);
  const mus = writableListOf(call, 'momentum', 'mu', params);
  const [factors, outFactors] = [numbersOf(call, 'momentum', 'factor', params), numbersOf(call, 'momentum', 'outFactor', params)];
  const shared = { ...(factors && { factors }), ...(outFactors && { outFactors }) };
  const updates = params.map(({ shape }) => backend.allocate(shape));
  const { learningRate, keep, take, aheadKeep, aheadTake, sign = false, weightDecays, penalties, scales } = call.attrs as MomentumAttrs;
  for (const { places, ends, groups } of partsOf(params, tensorsPerLaunch(call, 4, Object.keys(shared).length))) {
    const tensors: Record<string, TensorInfo> = { ...shared };
    const uniforms: Record<string, number | StepNumber> = { learningRate, keep, take, aheadKeep, aheadTake };
    places.forEach((place, i) => {
      Object.assign(tensors, { [`param${i}`]: params[place], [`grad${i}`]: grads[place], [`mu${i}`]: mus[place], [`update${i}`]: updates[place] });
      Object.assign(uniforms, {
        [`end${i}`]: ends[i], [`vectors${i}`]: vectorsOf(params[place] as TensorInfo), [`place${i}`]: place,
        [`decay${i}`]: weightDecays[place], [`penalty${i}`]: penalties?.[place] ?? 0, [`scale${i}`]: scales?.[place] ?? 1,
      });
    });
    const program = momentumProgram(places.length, sign, factors !== undefined, outFactors !== undefined);
    backend.dispatch(program, { tensors, uniforms, groups: backend.spread(groups) });
  }
  return updates;
}
