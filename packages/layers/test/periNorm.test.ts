/** Norms on both sides of a sub-layer: what the paper claims of them (arXiv:2502.02732). */
import { treeEntries, valueAndGrad, type NormFactory, type ParamSpec, type Tree } from '@evenkeel/core-tensor';
import { linearLayer, mlpLayer } from '@evenkeel/layers';
import { layerNormLayer, rmsNormLayer } from '@evenkeel/norms';
import { checkGrad, expectClose, forEachBackend, randomArray, randomTensor } from '@evenkeel/testing';
import { dispose, fill, mul, sum, tensor, zeros, type Tensor } from '@tensorflow/tfjs-core';
import { describe, expect, it } from 'vitest';
import { makeBlock, makeParams, nest } from './blockOracle.ts';
import { capturingLinear, distance, listener } from './captured.ts';

const [B, T, C, F] = [2, 3, 8, 32];
const sizes = { dim: C, numHeads: 2, numKvHeads: 2, causal: true, placed: 'peri' } as const;
/** Without biases and all but without eps, as the propositions have it. */
const bare = { norm: rmsNormLayer({ eps: 1e-12 }), linear: linearLayer({ bias: false }) };
const LAST = ['attn.proj.weight', 'mlp.down.weight'] as const;

type Tensors = Record<string, Tensor>;
const cotangent = randomArray(B * T * C, { seed: 5 });

/** ⟨block(x), c⟩, and its gradients in x and all parameters. */
function gradientsOf(block: ReturnType<typeof makeBlock>, x: Tensor, flat: Tensors): { y: Tensor; grads: Tensors } {
  const y = block.apply(x, nest(block, flat));
  const { value, grads } = valueAndGrad(({ x: z, ...p }: Tensors) => sum(mul(block.apply(z!, nest(block, p)), tensor(cotangent, [B, T, C]))), { x, ...flat });
  dispose(value);
  return { y, grads: grads as Tensors };
}

const norm = async (x: Tensor): Promise<number> => Math.hypot(...await x.data());

forEachBackend(() => {
  it.each(LAST)('peri: c · %s for c > 0 changes neither the output nor the gradient of x, and divides its own gradient by c; pre-norm has none of it', async (path) => {
    for (const placement of ['peri', 'pre'] as const) {
      const block = makeBlock({ ...sizes, placed: placement }, bare);
      const flat = makeParams(block);
      const x = randomTensor([B, T, C], { seed: 99 });
      const plain = gradientsOf(block, x, flat);
      for (const c of [0.01, 7]) {
        const scaled = mul(flat[path]!, c);
        const again = gradientsOf(block, x, { ...flat, [path]: scaled });
        if (placement === 'peri') {
          await expectClose(again.y, plain.y, { rtol: 1e-4, atol: 1e-4 });
          await expectClose(again.grads['x']!, plain.grads['x']!, { rtol: 1e-3, atol: 1e-3 });
          const expected = mul(plain.grads[path]!, 1 / c);
          await expectClose(again.grads[path]!, expected, { rtol: 1e-3, atol: 1e-3 / c });
          dispose(expected);
        } else {
          expect(await distance(again.y, plain.y)).toBeGreaterThan(0.1);
        }
        dispose([scaled, again.y, again.grads]);
      }
      dispose([flat, x, plain.y, plain.grads]);
    }
  });

  it('peri with output gains of 0 is the identity, and hands gradients on unchanged', async () => {
    const block = makeBlock(sizes, bare);
    const flat = makeParams(block);
    const silent = { 'norm1Out.weight': zeros([C]), 'norm2Out.weight': zeros([C]) };
    const x = randomTensor([B, T, C], { seed: 99 });
    const { y, grads } = gradientsOf(block, x, { ...flat, ...silent });
    await expectClose(y, x, { rtol: 0, atol: 0 });
    await expectClose(grads['x']!, tensor(cotangent, [B, T, C]), { rtol: 1e-6 });
    dispose([flat, silent, x, y, grads]);
  });

  it('peri with output gains of c adds rows whose root mean square is exactly c, whatever the sub-layer gives', async () => {
    const block = makeBlock(sizes, bare);
    const flat = makeParams(block);
    const gains = { 'norm1Out.weight': fill([C], 1.5), 'norm2Out.weight': fill([C], -0.25) };
    const x = randomTensor([B, T, C], { seed: 99, std: 30 });
    const { heard, observe } = listener();
    const y = block.apply(x, nest(block, { ...flat, ...gains }), { observe });
    for (const [name, c] of [['attn.out', 1.5], ['mlp.out', 0.25]] as const) {
      const added = await heard[name]!.data();
      for (let r = 0; r < B * T; r++) expect(Math.hypot(...added.slice(r * C, (r + 1) * C)) / Math.sqrt(C)).toBeCloseTo(c, 4);
    }
    dispose([flat, gains, x, y, heard]);
  });

  it('peri: the gradient of the last matrix is that of the closed form, and stays below its bound', async () => {
    const { linear, seen } = capturingLinear({ bias: false });
    const block = makeBlock(sizes, { ...bare, linear, mlp: mlpLayer({ activation: 'gelu' }) });
    const flat = makeParams(block);
    const x = randomTensor([B, T, C], { seed: 99 });
    const { y, grads } = gradientsOf(block, x, flat);
    const [h, W, g] = await Promise.all([seen['dim hidden']!, flat['mlp.down.weight']!, flat['norm2Out.weight']!].map((each) => each.data()));
    const { gradient, bound } = closedForm(h!, W!, g!);
    await checkGrad({
      loss64: ({ W2 }) => lossOfLast(h!, W2, g!), inputs: { W2: flat['mlp.down.weight']! }, gradients: { W2: gradient }, rtol: 1e-3,
    });
    await expectClose(grads['mlp.down.weight']!, gradient, { rtol: 1e-3, atol: 1e-4 });
    const measured = await grads['mlp.down.weight']!.data();
    measured.forEach((value, i) => expect(Math.abs(value)).toBeLessThanOrEqual(bound[i]! * (1 + 1e-4)));
    dispose([flat, x, y, grads, seen]);
  });

  it('peri damps the gradient of the last matrix where hidden activations are massive; in pre-norm it grows with them', async () => {
    const growth: Partial<Record<string, number>> = {};
    for (const placed of ['pre', 'peri'] as const) {
      const block = makeBlock({ ...sizes, placed }, bare);
      const flat = makeParams(block);
      const x = randomTensor([B, T, C], { seed: 99 });
      const massive = { ...flat, 'mlp.up.weight': mul(flat['mlp.up.weight']!, 1000) };
      const [before, after] = [gradientsOf(block, x, flat), gradientsOf(block, x, massive)];
      growth[placed] = (await norm(after.grads['mlp.down.weight']!)) / (await norm(before.grads['mlp.down.weight']!));
      dispose([flat, massive['mlp.up.weight'], x, before as never, after as never]);
    }
    expect(growth['pre']).toBeGreaterThan(500);
    expect(growth['peri']).toBeLessThan(3);
  });
});

/** What the MLP's output norm adds, ⟨·, c⟩, of a = W2 h: Σ δ · g · a · √C/‖a‖. */
function lossOfLast(h: ArrayLike<number>, W: ArrayLike<number>, g: ArrayLike<number>): number {
  let loss = 0;
  for (let r = 0; r < B * T; r++) {
    const a = rowOf(h, W, r);
    const size = Math.hypot(...a);
    a.forEach((value, i) => { loss += cotangent[r * C + i]! * g[i]! * value * Math.sqrt(C) / size; });
  }
  return loss;
}

const rowOf = (h: ArrayLike<number>, W: ArrayLike<number>, r: number): number[] =>
  Array.from({ length: C }, (_, o) => Array.from({ length: F }, (_each, f) => W[o * F + f]! * h[r * F + f]!).reduce((sum64, each) => sum64 + each));

/** dL/dW2 = Σ (√C/‖a‖) (I − a aᵀ/‖a‖²)(g∘δ) hᵀ, and Σ max|g| √C |h| ‖δ‖/‖a‖, which no element exceeds. */
function closedForm(h: ArrayLike<number>, W: ArrayLike<number>, g: ArrayLike<number>): { gradient: Float64Array; bound: Float64Array } {
  const [gradient, bound] = [new Float64Array(C * F), new Float64Array(C * F)];
  const steepest = Math.max(...Array.from(g, Math.abs));
  for (let r = 0; r < B * T; r++) {
    const a = rowOf(h, W, r);
    const size = Math.hypot(...a);
    const delta = Array.from(cotangent.slice(r * C, (r + 1) * C));
    const gd = delta.map((value, i) => g[i]! * value);
    const along = a.reduce((total, value, i) => total + value * gd[i]!, 0) / size ** 2;
    for (let o = 0; o < C; o++) for (let f = 0; f < F; f++) {
      gradient[o * F + f]! += (Math.sqrt(C) / size) * (gd[o]! - a[o]! * along) * h[r * F + f]!;
      bound[o * F + f]! += steepest * Math.sqrt(C) * Math.abs(h[r * F + f]!) * Math.hypot(...delta) / size;
    }
  }
  return { gradient, bound };
}

describe('peri', () => {
  it.each([['rmsNorm', rmsNormLayer(), 2], ['layerNorm', layerNormLayer(), 4]] as const)('peri has as many parameters as pre-norm and those of two more norms: %s', (_, norms: NormFactory, vectors) => {
    const count = (placed: 'pre' | 'peri') => treeEntries(makeBlock({ ...sizes, placed }, { norm: norms }).specs as Tree<ParamSpec>)
      .reduce((total, [, { shape }]) => total + shape.reduce((product, length) => product * length, 1), 0);
    expect(count('peri') - count('pre')).toBe(vectors * C);
  });
});
