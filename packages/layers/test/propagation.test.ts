/**
 * How variance and gradients travel through 24 narrow blocks with random weights, placement by placement (arXiv:2502.02732, 2502.05795).
 *
 * All weights are N(0, 1/64), also those from the MLP's 256 hidden channels, so that an MLP adds 1.7 per channel to a stream of unit rows.
 * Of mathematics, not of kernels: one backend.
 */
import { initParams, normal, valueAndGrad, type AttentionFn, type Tree } from '@evenkeel/core-tensor';
import { flashAttention } from '@evenkeel/flash-attention';
import { linearLayer, mlpLayer, transformerBlock, type Placement, type TransformerBlock } from '@evenkeel/layers';
import { qkNorm, rmsNormLayer } from '@evenkeel/norms';
import { forEachBackend, randomTensor } from '@evenkeel/testing';
import { clone, dispose, mul, sum, type Tensor } from '@tensorflow/tfjs-core';
import { expect, it } from 'vitest';

const [C, DEPTH, SEEDS] = [64, 24, [1, 2]];
/** Attention reduced to its values: each position sees itself alone. */
const valuesThrough: AttentionFn = (_q, _k, v) => clone(v);

type Stack = { blocks: TransformerBlock[]; params: Tree<Tensor>[]; apply(x: Tensor, params?: Tree<Tensor>[]): Tensor };

function stack(placement: Placement, seed: number, { attention = valuesThrough, normed = false }: { attention?: AttentionFn; normed?: boolean } = {}): Stack {
  const linear = linearLayer({ bias: false, initialiser: normal({ std: 1 / Math.sqrt(C) }) });
  const blocks = Array.from({ length: DEPTH }, (_, block) => transformerBlock({
    dim: C, numHeads: 4, causal: true, norm: rmsNormLayer(), attention, linear, mlp: mlpLayer({ activation: 'gelu' }), placement, block, depth: DEPTH,
    ...(normed && { qkNorm: qkNorm() }),
  }));
  const own = blocks.map((block, i) => initParams(block.specs, 100 * seed + i, block.initialiserOf));
  return { blocks, params: own, apply: (x, params = own) => blocks.reduce((h, block, i) => block.apply(h, params[i]!), x) };
}

const square = async (x: Tensor): Promise<number> => (await x.data() as Float32Array).reduce((total, value) => total + value * value, 0) / x.size;
const mean = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0) / values.length;

/** The variance of the stream after blocks 1, 2, …, from rows of unit variance, mean over seeds. */
function variances(placement: Placement, options: Parameters<typeof stack>[2] = {}): Promise<number[]> {
  const key = `${String(placement)} ${options.attention === flashAttention}`;
  const found = known.get(key) ?? measure(placement, options);
  known.set(key, found);
  return found;
}
const known = new Map<string, Promise<number[]>>();

async function measure(placement: Placement, options: Parameters<typeof stack>[2]): Promise<number[]> {
  const perSeed = await Promise.all(SEEDS.map(async (seed) => {
    const { blocks, params } = stack(placement, seed, options);
    let x: Tensor = randomTensor([4, 64, C], { seed: seed + 7 });
    const found: number[] = [];
    for (const [i, block] of blocks.entries()) {
      const y = block.apply(x, params[i]!);
      dispose(x);
      x = y;
      found.push(await square(x));
    }
    dispose([x, params as never]);
    return found;
  }));
  return perSeed[0]!.map((_, l) => mean(perSeed.map((found) => found[l]!)));
}

/** Of ⟨stack(x), c⟩ for random c, mean over seeds: root mean square of the gradient of the MLP's last matrix in the first block, beside the last block's. */
async function firstOverLast(placement: Placement, options?: Parameters<typeof stack>[2]): Promise<number> {
  return mean(await Promise.all(SEEDS.map(async (seed) => {
    const { params, apply } = stack(placement, seed, options);
    const final = ['post', 'deepnorm'].includes(placement as string) ? undefined : rmsNormLayer()(C);
    const [x, c] = [randomTensor([4, 64, C], { seed: seed + 7 }), randomTensor([4, 64, C], { seed: seed + 99 })] as [Tensor, Tensor];
    const { value, grads } = valueAndGrad((p: Tree<Tensor>[]) => { const y = apply(x, p); return sum(mul(final?.apply(y, {}) ?? y, c)); }, params);
    const of = (block: number) => square((grads as unknown as { mlp: { down: { weight: Tensor } } }[])[block]!.mlp.down.weight);
    const ratio = Math.sqrt(await of(0) / await of(DEPTH - 1));
    dispose([x, c, value, grads as never, params as never]);
    return ratio;
  })));
}

/** ⟨∂⟨y, c⟩/∂x, c⟩ / ⟨c, c⟩ for y after the first `depth` blocks: how much of a gradient arrives as what it was, mean over seeds. */
async function identityShare(placement: Placement, depth: number): Promise<number> {
  return mean(await Promise.all(SEEDS.map(async (seed) => {
    const { blocks, params } = stack(placement, seed);
    const [x, c] = [randomTensor([1, 64, C], { seed: seed + 7 }), randomTensor([1, 64, C], { seed: seed + 99 })] as [Tensor, Tensor];
    const { value, grads } = valueAndGrad(({ x: z }: { x: Tensor }) => sum(mul(c, blocks.slice(0, depth).reduce((h, block, i) => block.apply(h, params[i]!), z))), { x });
    const inner = mul(grads.x, c);
    const along = (await inner.data() as Float32Array).reduce((a, b) => a + b, 0) / inner.size;
    const share = along / await square(c);
    dispose([x, c, value, grads.x, inner, params as never]);
    return share;
  })));
}

forEachBackend(['evenkeel-wasm'], () => {
  /** Reference values after blocks 1, 6, 12 and 24, computed elsewhere with other draws. */
  const REFERENCE: { placement: Placement; reference: number[] }[] = [
    { placement: 'pre', reference: [3.6, 18, 35, 69] },
    { placement: 'lns', reference: [3.6, 6.9, 8.3, 9.6] },
    { placement: 'peri', reference: [3.1, 13, 25, 50] },
    { placement: 'post', reference: [1, 1, 1, 1] },
  ];

  it.each(REFERENCE)('the variance of the stream after blocks 1, 6, 12 and 24 of $placement is $reference to 0.15 relative', async ({ placement, reference }) => {
    const found = await variances(placement);
    [1, 6, 12, 24].forEach((l, i) => expect(Math.abs(found[l - 1]! / reference[i]! - 1), `block ${l}: ${found[l - 1]}`).toBeLessThan(0.15));
  });

  it.each([{ name: 'its values alone', attention: valuesThrough }, { name: 'causal attention', attention: flashAttention }])('peri adds 1 per sub-layer: the variance after block l is 1 + 2l to 0.15 relative, with $name', async ({ attention }) => {
    const found = await variances('peri', { attention });
    found.forEach((value, i) => expect(Math.abs(value / (3 + 2 * i) - 1), `block ${i + 1}: ${value}`).toBeLessThan(0.15));
  });

  it('pre-norm grows in a straight line at its start, lns like the harmonic numbers, and post-norm not at all', async () => {
    const [pre, lns, post] = await Promise.all((['pre', 'lns', 'post'] as const).map((placement) => variances(placement)));
    const perBlock = (pre![23]! - pre![0]!) / 23;
    pre!.forEach((value, i) => expect(Math.abs(value / (pre![0]! + i * perBlock) - 1)).toBeLessThan(0.1));
    const harmonic = (l: number): number => Array.from({ length: l }, (_, i) => 1 / (i + 1)).reduce((a, b) => a + b);
    // A GELU of a small z is z/2: the MLP of a deep block adds 4 · ¼/l, its attention 1/l.
    const tail = (lns![23]! - lns![5]!) / (2 * (harmonic(24) - harmonic(6)));
    expect(Math.abs(tail - 1)).toBeLessThan(0.2);
    expect(Math.max(...post!) - Math.min(...post!)).toBeLessThan(0.02);
  });

  it('post-norm hands on ever less of a gradient as what it was, the others all of it', async () => {
    // Each norm of a sum divides the identity by its size: √(1 + 1) after attention, √(1 + 1.7) after the MLP.
    const perBlock = 1 / Math.sqrt(2 * 2.7);
    for (const depth of [1, 2]) expect(Math.abs(await identityShare('post', depth) / perBlock ** depth - 1)).toBeLessThan(0.2);
    expect(Math.abs(await identityShare('post', DEPTH))).toBeLessThan(0.1);
    for (const placement of ['pre', 'peri', 'lns'] as const) expect(Math.abs(await identityShare(placement, DEPTH) - 1)).toBeLessThan(0.15);
    expect(Math.abs(await identityShare('deepnorm', DEPTH) - 1)).toBeLessThan(0.15);
  });

  it('the first block of post-norm is given less than half of what that of peri is given, relative to the last block', async () => {
    const [post, peri] = [await firstOverLast('post', { attention: flashAttention }), await firstOverLast('peri', { attention: flashAttention })];
    expect(post / peri).toBeLessThan(0.5);
  });

  it('deepnorm starts with gradients of one size over all depth', async () => {
    expect(Math.abs(await firstOverLast('deepnorm', { attention: flashAttention }) - 1)).toBeLessThan(0.1);
  });

  it('the gradients of output explode towards the first block without qk-norm, as scores grow with the stream, and are those of peri with it', async () => {
    const peri = await firstOverLast('peri', { attention: flashAttention });
    expect(await firstOverLast('output', { attention: flashAttention })).toBeGreaterThan(20 * peri);
    expect(await firstOverLast('output', { attention: flashAttention, normed: true }) / peri).toBeLessThan(1.5);
  });
});
