/** Kernels of attention whose inputs their ops prepare (masks, boundaries): called through the ops, which without a kernel run composed. */
import { vjp } from '@evenkeel/core-tensor';
import { flashAttention, flashAttentionVarlen } from '@evenkeel/flash-attention';
import { closenessOf, type Closeness } from '@evenkeel/testing/numbers';
import { dispose, getBackend, setBackend, tensor2d, tidy, type Tensor } from '@tensorflow/tfjs-core';
import { drawer, tensorsOf } from '../../../packages/wasm-kernels/test/battery/draw.ts';

/** OpCase — `run` gives the result and the gradients of an op for size n, on the backend that is selected. */
export type OpCase = { readonly kernels: readonly string[]; readonly title: string; readonly run: (n: number) => Tensor[] };

/** Tiles of 16 queries and keys; the tile of a query itself always counts. */
const visible = (tiles: number): Tensor => tensor2d(Array.from({ length: tiles }, (_, i) => Array.from({ length: tiles }, (__, j) => Number(i === j || (i + j) % 3 === 2))), [tiles, tiles], 'int32');

const withGradients = (op: () => Tensor, ...inputs: Tensor[]): Tensor[] => {
  const { shape } = tidy(op);
  const { dy } = tensorsOf({ dy: drawer({ std: 0.7 }).floats(...shape) });
  const { value, grads } = vjp(op, inputs, dy as Tensor);
  return [value, ...grads];
};

export const OP_CASES: readonly OpCase[] = [
  {
    kernels: ['evenkeel/attentionGeneral', 'evenkeel/attentionGeneralGrad'], title: 'with a soft cap, a mask of blocks and a window',
    run: (n) => {
      const draw = drawer();
      const { q, k, v } = tensorsOf({ q: draw.floats(2, n, 4, 8), k: draw.floats(2, n, 2, 8), v: draw.floats(2, n, 2, 8) }) as Record<'q' | 'k' | 'v', Tensor>;
      const blockMask = visible(Math.ceil(n / 16));
      return withGradients(() => flashAttention(q, k, v, { causal: true, window: [20, 0], softcap: 2, blockMask, blockSize: [16, 16] }), q, k, v);
    },
  },
  {
    kernels: ['evenkeel/attentionVarlen', 'evenkeel/attentionVarlenGrad'], title: 'of two sequences',
    run: (n) => {
      const draw = drawer();
      const { q, k, v } = tensorsOf({ q: draw.floats(n, 4, 8), k: draw.floats(n + 2, 2, 8), v: draw.floats(n + 2, 2, 8) }) as Record<'q' | 'k' | 'v', Tensor>;
      const middle = n >> 1;
      return withGradients(() => flashAttentionVarlen(q, k, v, [0, middle, n], [0, middle + 1, n + 2], { causal: true }), q, k, v);
    },
  },
];

/** compareCase — each result and gradient with what tfjs' CPU backend, which has no such kernel, makes of the op. */
export async function compareCase({ run }: OpCase, n: number): Promise<Closeness[]> {
  const selected = getBackend();
  await setBackend('cpu');
  const expected = await valuesOf(run, n);
  await setBackend(selected);
  const actual = await valuesOf(run, n);
  // Of one or two keys some gradients are zero.
  if (n > 3 && !expected.every(({ data }) => data.some((value) => value !== 0))) return [{ share: Infinity, failure: 'the reference must give numbers other than 0' }];
  return actual.map((each, i) => closenessOf(each, expected[i]!, { rtol: 1e-5, atol: 3e-5 }));
}

async function valuesOf(run: OpCase['run'], n: number) {
  const tensors = tidy(() => run(n));
  const values = await Promise.all(tensors.map(async (each) => ({ shape: each.shape, data: Float64Array.from(await each.data()) })));
  dispose(tensors);
  return values;
}
