import { valueAndGrad, vjp } from '@evenkeel/core-tensor';
import { attentionReference, flashAttention, flashAttentionPacked, flashAttentionVarlen } from '@evenkeel/flash-attention';
import { expectClose, expectNoLeak, randomTensor } from '@evenkeel/testing';
import {
  add, cast, dispose, fill, ones, registerKernel, reshape, setBackend, slice, sum, tensor, tensor1d, unregisterKernel, type NamedTensorMap, type Tensor, type TensorInfo,
} from '@tensorflow/tfjs-core';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { makeCase, withTerms } from './cases.ts';

type Call = { name: string; inputs: NamedTensorMap; attrs: Record<string, unknown> };

/** The calls that the stand-ins got since the test began. */
const calls: Call[] = [];
const names: string[] = [];

/** A stand-in for a kernel of the cpu backend, which has none: it shows what the ops hand to a kernel and take from it. */
function register(name: string, run: (inputs: NamedTensorMap, attrs: Record<string, unknown>) => TensorInfo | TensorInfo[]): void {
  names.push(name);
  registerKernel({
    kernelName: name, backendName: 'cpu',
    kernelFunc: ({ inputs, attrs }) => {
      calls.push({ name, inputs: inputs as NamedTensorMap, attrs: attrs as Record<string, unknown> });
      return run(inputs as NamedTensorMap, attrs as Record<string, unknown>);
    },
  });
}

/** Gradients that tell who made them: 1 for q, 2 for k, 3 for v. */
const markers = ({ q, k, v }: NamedTensorMap): Tensor[] => [fill(q!.shape, 1), fill(k!.shape, 2), fill(v!.shape, 3)];

const called = (): string[] => calls.map(({ name }) => name);

beforeEach(async () => { await setBackend('cpu'); });

afterEach(() => {
  names.splice(0).forEach((name) => unregisterKernel(name, 'cpu'));
  calls.length = 0;
});

const everyValueIs = async (x: Tensor, value: number): Promise<void> => expectClose(x, new Float32Array(x.size).fill(value), { rtol: 0, atol: 0 });

describe('evenkeel/attentionGeneral', () => {
  const sizes = { batchSize: 2, seqLen: 5, kvLen: 6, numHeads: 4, numKvHeads: 2, headDim: 3 };

  const general = (): void => {
    const stats = ({ q, k, v, blockMask, bias, alibiSlopes }: NamedTensorMap, attrs: Record<string, unknown>): Tensor[] => {
      const { scale, causal, windowLeft, windowRight, dropout, seed, softcap, blockQ, blockK } = attrs as Record<string, number>;
      const { out, lse, rowMax, entropy } = attentionReference(q!, k!, v!, {
        scale, causal: Boolean(causal), window: [windowLeft!, windowRight!], dropout, seed, train: true, softcap, blockSize: [blockQ!, blockK!],
        ...(blockMask && { blockMask }), ...(bias && { bias }), ...(alibiSlopes && { alibiSlopes }), returnStats: true,
      });
      return [out, lse, rowMax, entropy];
    };
    register('evenkeel/attentionGeneralStats', stats);
    register('evenkeel/attentionGeneral', (inputs, attrs) => {
      const [out, lse, ...rest] = stats(inputs, attrs) as [Tensor, Tensor, Tensor, Tensor];
      dispose(rest);
      return [out, lse];
    });
    register('evenkeel/attentionGeneralGrad', markers);
    register('evenkeel/attentionBiasGrad', ({ bias: given }) => fill(given!.shape, 4));
  };

  it('takes and gives what the reference does, with all options', async () => {
    const made = withTerms(makeCase({ ...sizes, causal: true }), { slopes: 'h', bias: [true, true, true, true], dropout: 0.3 });
    const blockMask = tensor([1, 0, 1, 1], [2, 2], 'bool');
    const options = { ...made.options, softcap: 2, window: [3, 0], blockMask, blockSize: [3, 4] } as const;
    const [bare, stats] = [flashAttention(made.q, made.k, made.v, options), flashAttention(made.q, made.k, made.v, { ...options, returnStats: true })];
    general();
    const [fused, fusedStats] = [flashAttention(made.q, made.k, made.v, options), flashAttention(made.q, made.k, made.v, { ...options, returnStats: true })];
    const { lse } = flashAttention(made.q, made.k, made.v, { ...options, returnLse: true });
    await expectClose(fused, bare, { rtol: 0, atol: 0 });
    await expectClose(lse, stats.lse, { rtol: 0, atol: 0 });
    for (const name of ['out', 'lse', 'rowMax', 'entropy'] as const) await expectClose(fusedStats[name], stats[name], { rtol: 0, atol: 0 });
    expect(called()).toEqual(['evenkeel/attentionGeneral', 'evenkeel/attentionGeneralStats', 'evenkeel/attentionGeneral']);
    expect(Object.keys(calls[0]!.inputs).sort()).toEqual(['alibiSlopes', 'bias', 'blockMask', 'k', 'q', 'v']);
    expect(calls[0]!.inputs.blockMask!.dtype).toBe('int32');
    expect(calls[0]!.attrs).toEqual({
      scale: 1 / Math.sqrt(3), causal: true, windowLeft: 3, windowRight: 0, dropout: 0.3, seed: 12345, softcap: 2, blockQ: 3, blockK: 4,
    });
    dispose([made.q, made.k, made.v, made.terms, blockMask, bare, stats, fused, fusedStats, lse] as never);
  });

  it('is left alone where plain attention will do, and is told of no cap by 0', () => {
    general();
    const { q, k, v } = makeCase(sizes);
    dispose([
      flashAttention(q, k, v, { softcap: 0, causal: true }), flashAttention(q, k, v, { returnLse: true }), flashAttention(q, k, v, { returnStats: true }),
      flashAttention(q, k, v, { observe: () => {} }),
    ] as never);
    expect(called()).toEqual([]);
    const blockMask = ones([1, 1], 'int32');
    dispose(flashAttention(q, k, v, { blockMask }));
    expect(calls[0]!.attrs).toMatchObject({ softcap: 0, blockQ: 64, blockK: 64 });
    expect(Object.keys(calls[0]!.inputs).sort()).toEqual(['blockMask', 'k', 'q', 'v']);
    dispose([q, k, v, blockMask]);
  });

  it.each([{ softcap: 2 }, { softcap: 2, returnStats: true }, { softcap: 2, observe: () => {} }])('evenkeel/attentionGeneralGrad makes the gradients in q, k and v: %j', async (options) => {
    general();
    const { q, k, v } = makeCase(sizes);
    const { value, grads } = valueAndGrad((p: { q: Tensor; k: Tensor; v: Tensor }) => {
      const result = flashAttention(p.q, p.k, p.v, options as { returnStats: true }) as Tensor | { out: Tensor };
      return sum('out' in result ? result.out : result);
    }, { q, k, v });
    for (const [i, grad] of [grads.q, grads.k, grads.v].entries()) await everyValueIs(grad, i + 1);
    expect(Object.keys(calls[1]!.inputs).sort()).toEqual(['dy', 'k', 'lse', 'out', 'q', 'v']);
    dispose([q, k, v, value, grads] as never);
  });

  it('the gradient of a bias comes from evenkeel/attentionBiasGrad, which is told of cap and mask', async () => {
    const made = withTerms(makeCase(sizes), { bias: [false, true, true, true] });
    const { q, k, v, terms: { bias } } = made;
    const dy = ones(q.shape);
    const gradOf = (options: object): Tensor => {
      const { value, grads } = vjp(() => flashAttention(q, k, v, { ...options, bias: bias!, returnStats: true }).out, [bias!], dy);
      value.dispose();
      return grads[0]!;
    };
    general();
    const blockMask = tensor([1, 0, 1, 1], [2, 2], 'bool');
    const found = gradOf({ softcap: 2, blockMask, blockSize: [3, 4] });
    await everyValueIs(found, 4);
    const { inputs, attrs } = calls.find(({ name }) => name === 'evenkeel/attentionBiasGrad')!;
    expect(Object.keys(inputs).sort()).toEqual(['bias', 'blockMask', 'dy', 'k', 'lse', 'out', 'q', 'v']);
    expect(attrs).toMatchObject({ softcap: 2, blockQ: 3, blockK: 4 });
    dispose([q, k, v, bias!, dy, blockMask, found]);
  });

  it('the gradient of lse goes through the reference', async () => {
    const { q, k, v } = makeCase(sizes);
    const gradsOf = () => valueAndGrad((p: { q: Tensor; k: Tensor }) => {
      const { out, lse } = flashAttention(p.q, p.k, v, { softcap: 2, returnLse: true });
      return add(sum(out), sum(lse));
    }, { q, k });
    const expected = gradsOf();
    general();
    const found = gradsOf();
    await expectClose(found.grads.q, expected.grads.q, { rtol: 1e-6, atol: 1e-7 });
    await expectClose(found.grads.k, expected.grads.k, { rtol: 1e-6, atol: 1e-7 });
    dispose([q, k, v, expected, found] as never);
  });

  it('nothing is left behind', async () => {
    general();
    const { q, k, v } = makeCase(sizes);
    const keyPaddingMask = cast(ones([2, 6]), 'bool');
    await expectNoLeak(() => flashAttention(q, k, v, { softcap: 2, keyPaddingMask }));
    await expectNoLeak(() => flashAttention(q, k, v, { softcap: 2, returnLse: true }));
    await expectNoLeak(() => flashAttention(q, k, v, { keyPaddingMask, returnStats: true }));
    await expectNoLeak(() => valueAndGrad((p: { q: Tensor }) => sum(flashAttention(p.q, k, v, { softcap: 2 })), { q }));
    dispose([q, k, v, keyPaddingMask]);
  });
});

describe('evenkeel/attentionStats', () => {
  it('a backend that has plain attention only gets the statistics from the reference, packed or not', async () => {
    const qkv = randomTensor([2, 5, 24]);
    const stats = () => flashAttentionPacked(qkv, { numHeads: 2, numKvHeads: 1, causal: true, returnStats: true });
    const before = stats();
    register('evenkeel/attention', ({ q }) => [fill(q!.shape, 5), fill([2, 2, 5], 6)]);
    register('evenkeel/attentionPacked', () => [fill([2, 5, 2, 6], 5), fill([2, 2, 5], 6)]);
    const after = stats();
    for (const name of ['out', 'lse', 'rowMax', 'entropy'] as const) await expectClose(after[name], before[name], { rtol: 0, atol: 0 });
    expect(called()).toEqual([]);
    dispose([qkv, before, after] as never);
  });

  it('its gradient is that of plain attention', async () => {
    const { q, k, v } = makeCase({ batchSize: 2, seqLen: 5, kvLen: 6, numHeads: 4, numKvHeads: 2, headDim: 3 });
    register('evenkeel/attentionStats', ({ q: given }) => [fill(given!.shape, 5), ...[6, 7, 8].map((value) => fill([2, 4, 5], value))]);
    register('evenkeel/attentionGrad', markers);
    register('evenkeel/attentionBiasGrad', ({ bias }) => fill(bias!.shape, 4));
    const told: [string, number][] = [];
    const observe = (name: string, value: Tensor): void => { told.push([name, value.dataSync()[0]!]); };
    const { value, grads } = valueAndGrad((p: { q: Tensor; k: Tensor; v: Tensor }) => sum(flashAttention(p.q, p.k, p.v, { causal: true, observe })), { q, k, v });
    for (const [i, grad] of [grads.q, grads.k, grads.v].entries()) await everyValueIs(grad, i + 1);
    expect(told).toEqual([['entropy', 8], ['rowMax', 7]]);
    expect(called()).toEqual(['evenkeel/attentionStats', 'evenkeel/attentionGrad']);
    expect(Object.keys(calls[1]!.inputs).sort()).toEqual(['dy', 'k', 'lse', 'out', 'q', 'v']);
    dispose([q, k, v, value, grads] as never);
  });
});

describe('evenkeel/attentionVarlen', () => {
  const make = () => {
    const { q, k, v } = makeCase({ batchSize: 1, seqLen: 7, kvLen: 9, numHeads: 2, headDim: 3 });
    const [flatQ, flatK, flatV] = [q, k, v].map((x) => reshape(x, [x.shape[1]!, 2, 3])) as [Tensor, Tensor, Tensor];
    dispose([q, k, v]);
    return { q: flatQ, k: flatK, v: flatV };
  };

  it('gets boundaries on the device and the greatest lengths, and makes the gradients', async () => {
    register('evenkeel/attentionVarlen', ({ q }) => [fill(q!.shape, 5), fill([2, 7], 6)]);
    register('evenkeel/attentionVarlenGrad', markers);
    const { q, k, v } = make();
    const boundaries = tensor1d([0, 4, 9], 'int32');
    const { value, grads } = valueAndGrad((p: { q: Tensor; k: Tensor; v: Tensor }) =>
      sum(flashAttentionVarlen(p.q, p.k, p.v, [0, 5, 7], boundaries, { maxSeqlenK: 5, causal: true, window: [100, -1] })), { q, k, v });
    expect((await value.data())[0]).toBe(5 * 7 * 2 * 3);
    for (const [i, grad] of [grads.q, grads.k, grads.v].entries()) await everyValueIs(grad, i + 1);
    const [forward, backward] = calls as [Call, Call];
    expect(Object.keys(forward.inputs).sort()).toEqual(['cuSeqlensK', 'cuSeqlensQ', 'k', 'q', 'v']);
    expect(Object.keys(backward.inputs).sort()).toEqual(['cuSeqlensK', 'cuSeqlensQ', 'dy', 'k', 'lse', 'out', 'q', 'v']);
    expect([forward.inputs.cuSeqlensQ!.dtype, forward.inputs.cuSeqlensQ!.shape]).toEqual(['int32', [3]]);
    expect(forward.attrs).toEqual({ scale: 1 / Math.sqrt(3), causal: true, windowLeft: 5, windowRight: -1, dropout: 0, seed: 0, maxSeqlenQ: 5, maxSeqlenK: 5 });
    const { lse } = flashAttentionVarlen(q, k, v, [0, 5, 7], [0, 4, 9], { returnLse: true });
    await everyValueIs(lse, 6);
    await expectNoLeak(() => flashAttentionVarlen(q, k, v, [0, 5, 7], [0, 4, 9]));
    dispose([q, k, v, boundaries, value, grads, lse] as never);
  });

  it('the gradient of lse goes through the reference', async () => {
    const { q, k, v } = make();
    const gradsOf = () => valueAndGrad((p: { k: Tensor }) => {
      const { out, lse } = flashAttentionVarlen(q, p.k, v, [0, 5, 7], [0, 4, 9], { returnLse: true });
      return add(sum(out), sum(slice(lse, [0, 0], [2, 3])));
    }, { k });
    const expected = gradsOf();
    register('evenkeel/attentionVarlen', ({ q: given }) => [fill(given!.shape, 5), fill([2, 7], 6)]);
    const found = gradsOf();
    await expectClose(found.grads.k, expected.grads.k, { rtol: 1e-6, atol: 1e-7 });
    dispose([q, k, v, expected, found] as never);
  });
});
