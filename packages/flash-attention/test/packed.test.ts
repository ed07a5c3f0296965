import { hasKernel, valueAndGrad, vjp } from '@evenkeel/core-tensor';
import { flashAttention, flashAttentionPacked, type FlashAttentionPackedOptions } from '@evenkeel/flash-attention';
import { checkOpGrad, attention64, expectClose, expectNoLeak, forEachBackend, randomTensor } from '@evenkeel/testing';
import { concat, dispose, memory, mul, reshape, split, square, sum, tidy, zeros, type Tensor } from '@tensorflow/tfjs-core';
import { describe, expect, it } from 'vitest';

type Sizes = { batchSize: number; seqLen: number; numHeads: number; numKvHeads: number; headDim: number };
type Options = Omit<FlashAttentionPackedOptions, 'numHeads' | 'numKvHeads' | 'returnLse'>;

const CASES: (Partial<Sizes> & { title: string; options?: Options })[] = [
  { title: 'one token', seqLen: 1 },
  { title: 'three tokens, full', seqLen: 3 },
  { title: '65 tokens, causal', seqLen: 65, options: { causal: true } },
  { title: '130 tokens, one head', batchSize: 1, seqLen: 130, numHeads: 1, numKvHeads: 1, options: { causal: true } },
  { title: 'grouped heads, a window and dropout', seqLen: 67, numHeads: 6, numKvHeads: 2, options: { causal: true, window: [20, 0], dropout: 0.2, train: true, seed: 3 } },
  { title: 'one key head, of width 5', seqLen: 9, numHeads: 3, numKvHeads: 1, headDim: 5, options: { causal: true } },
];
const base: Sizes = { batchSize: 2, seqLen: 5, numHeads: 2, numKvHeads: 2, headDim: 8 };

const headsOf = ({ numHeads, numKvHeads }: Sizes) => ({ numHeads, numKvHeads });

const makePacked = ({ batchSize, seqLen, numHeads, numKvHeads, headDim }: Sizes): Tensor =>
  randomTensor([batchSize, seqLen, (numHeads + 2 * numKvHeads) * headDim], { seed: 4 });

/** What the docstring says it is. */
function taken(qkv: Tensor, { batchSize, seqLen, numHeads, numKvHeads, headDim }: Sizes, options: Options): Tensor {
  const counts = [numHeads, numKvHeads, numKvHeads];
  const parts = split(qkv, counts.map((count) => count * headDim), -1);
  const [q, k, v] = parts.map((part, i) => reshape(part, [batchSize, seqLen, counts[i]!, headDim])) as [Tensor, Tensor, Tensor];
  return flashAttention(q, k, v, options);
}

forEachBackend((backend) => {
  it.each(CASES)('flashAttentionPacked(qkv) and its gradient equal flashAttention of the parts, bit by bit: $title', async ({ title: _, options = {}, ...given }) => {
    const sizes = { ...base, ...given };
    const qkv = makePacked(sizes);
    const dy = randomTensor([sizes.batchSize, sizes.seqLen, sizes.numHeads, sizes.headDim], { seed: 5 });
    const packed = vjp(() => flashAttentionPacked(qkv, { ...headsOf(sizes), ...options }), [qkv], dy);
    const apart = vjp(() => taken(qkv, sizes, options), [qkv], dy);
    await expectClose(packed.value, apart.value, { rtol: 0, atol: 0 });
    await expectClose(packed.grads[0]!, apart.grads[0]!, { rtol: 0, atol: 0 });
    dispose([qkv, dy, packed, apart] as never);
  });

  it('the gradients of flashAttentionPacked match finite differences in qkv and bias', async () => {
    const [qkv, bias] = [makePacked({ ...base, numKvHeads: 1, headDim: 4 }), randomTensor([1, 2, 5, 5], { seed: 9 })];
    await checkOpGrad<'qkv' | 'bias'>({
      op: (p) => flashAttentionPacked(p.qkv, { numHeads: 2, numKvHeads: 1, causal: true, bias: p.bias }),
      oracle64: (p) => {
        const columns = (from: number, to: number) => p.qkv.filter((_, i) => i % 16 >= from && i % 16 < to);
        const oracleSizes = { batchSize: 2, seqLen: 5, kvLen: 5, numHeads: 2, numKvHeads: 1, headDim: 4, causal: true };
        return attention64(columns(0, 8), columns(8, 12), columns(12, 16), { ...oracleSizes, bias: { values: p.bias, shape: [1, 2, 5, 5] } }).out;
      },
      inputs: { qkv, bias },
    });
    dispose([qkv, bias]);
  });

  it('flashAttentionPacked(qkv, { returnLse }) gives both results, and gradients of both', async () => {
    const qkv = makePacked(base);
    const { out, lse } = flashAttentionPacked(qkv, { numHeads: 2, causal: true, returnLse: true });
    const alone = flashAttentionPacked(qkv, { numHeads: 2, causal: true });
    expect([out.shape, lse.shape]).toEqual([[2, 5, 2, 8], [2, 2, 5]]);
    await expectClose(out, alone, { atol: 1e-6 });
    const { value, grads } = valueAndGrad((p: { qkv: Tensor }) => {
      const both = flashAttentionPacked(p.qkv, { numHeads: 2, causal: true, returnLse: true });
      return sum(concat([reshape(both.out, [-1]), reshape(both.lse, [-1])]));
    }, { qkv });
    expect(grads.qkv.shape).toEqual(qkv.shape);
    dispose([qkv, out, lse, alone, value, grads.qkv]);
  });

  it('the second derivative of flashAttentionPacked equals that of flashAttention of the parts', async () => {
    const sizes = { ...base, seqLen: 4, headDim: 3 };
    const qkv = makePacked(sizes);
    const secondOf = (attention: (x: Tensor) => Tensor) => valueAndGrad((outer: { qkv: Tensor }) =>
      sum(square(valueAndGrad((p: { qkv: Tensor }) => sum(square(attention(p.qkv))), outer).grads.qkv)), { qkv });
    const packed = secondOf((x) => flashAttentionPacked(x, { ...headsOf(sizes), causal: true }));
    const apart = secondOf((x) => taken(x, sizes, { causal: true }));
    await expectClose(packed.grads.qkv, apart.grads.qkv, { rtol: 1e-4, atol: 1e-5 });
    dispose([qkv, packed, apart] as never);
  });

  it('flashAttentionPacked(qkv) adds its results and frees the rest, also on error and in gradients', async () => {
    const qkv = makePacked(base);
    await expectNoLeak(() => flashAttentionPacked(qkv, { numHeads: 2, dropout: 0.5, train: true, seed: 1 }));
    await expectNoLeak(() => flashAttentionPacked(qkv, { numHeads: 2, returnLse: true }));
    await expectNoLeak(() => flashAttentionPacked(qkv, { numHeads: 5 }), { throws: 'flashAttentionPacked: qkv must have a width divisible by its 15 heads, got 48' });
    await expectNoLeak(() => valueAndGrad((p: { qkv: Tensor }) => sum(mul(flashAttentionPacked(p.qkv, { numHeads: 2 }), 2)), { qkv }));
    dispose(qkv);
  });

  if (backend === 'evenkeel-wasm') {
    it('flashAttentionPacked(qkv) keeps qkv, out and lse for the backward pass and copies nothing', () => {
      expect(hasKernel('evenkeel/attentionPacked') && hasKernel('evenkeel/attentionPackedGrad')).toBe(true);
      const held = tidy(() => {
        let bytes = 0;
        valueAndGrad((p: { qkv: Tensor }) => {
          const before = memory().numBytes;
          const out = flashAttentionPacked(p.qkv, { numHeads: 2, causal: true });
          bytes = memory().numBytes - before;
          return sum(out);
        }, { qkv: makePacked({ ...base, batchSize: 1, seqLen: 128 }) });
        return bytes;
      });
      expect(held).toBe(4 * (128 * 48 + 2 * 128 * 16 + 2 * 128)); // qkv again by reference, the result and what is saved of it, lse
    });
  }
});

describe('flashAttentionPacked', () => {
  it.each([
    [[2, 3, 2, 8], { numHeads: 2 }, 'qkv must have rank 3, got shape [2, 3, 2, 8]'],
    [[2, 3, 47], { numHeads: 2 }, 'qkv must have a width divisible by its 6 heads, got 47'],
    [[2, 0, 48], { numHeads: 2 }, 'qkv must have at least one position, got 0'],
    [[2, 3, 48], { numHeads: 0 }, 'numHeads must be an integer ≥ 1, got 0'],
    [[2, 3, 48], { numHeads: 2, numKvHeads: 0.5 }, 'numKvHeads must be an integer ≥ 1, got 0.5'],
    [[2, 3, 48], { numHeads: 4, numKvHeads: 3 }, 'numHeads must be divisible by numKvHeads, got 4 and 3'],
    [[2, 3, 48], { numHeads: 2, causal: 0 }, 'causal must be true or false, got 0'],
    [[2, 3, 48], { numHeads: 2, returnLse: 'no' }, 'returnLse must be true or false, got "no"'],
    [[2, 3, 48], { numHeads: 2, numKVHeads: 2 }, 'options must be among numHeads, numKvHeads, scale, causal, window, alibiSlopes, dropout, train, seed, observe, returnLse, bias, softcap, blockMask, blockSize, keyPaddingMask, returnStats, got numKVHeads'],
    [[2, 3, 48], { numHeads: 2, dropout: 0.1, train: true }, 'seed must be given when dropout acts, got undefined'],
  ] as unknown as [number[], FlashAttentionPackedOptions & { returnLse?: false }, string][])('flashAttentionPacked(%j, %j) says what is wrong', (shape, options, message) => {
    const qkv = zeros(shape);
    expect(() => flashAttentionPacked(qkv, options)).toThrow(`flashAttentionPacked: ${message}`);
    dispose(qkv);
  });

  it('flashAttentionPacked(qkv) rejects integers by name', () => {
    const qkv = zeros([1, 2, 12], 'int32');
    expect(() => flashAttentionPacked(qkv, { numHeads: 2 })).toThrow('flashAttentionPacked: qkv must have dtype float32, got int32');
    dispose(qkv);
  });
});
