import { attention64 } from '@evenkeel/testing/numbers';
import type { Draw, Values } from './draw.ts';
import * as reference from './references.ts';
import { gradientOf } from './references.ts';
import type { Row } from './row.ts';

const ATTENTION = { scale: 0.35, causal: true, windowLeft: -1, windowRight: -1 };
const WINDOW = { scale: 0.35, causal: false, windowLeft: 5, windowRight: 2 };
const GENERAL = { ...WINDOW, windowLeft: 90, softcap: 0.8, blockQ: 7, blockK: 20 };
const queries = (draw: Draw, n: number) => ({ q: draw.floats(2, n, 4, 8), k: draw.floats(2, n, 2, 8), v: draw.floats(2, n, 2, 8) });
/** With a block mask that hides a third of the blocks. */
const general = (draw: Draw, n: number) => ({ ...queries(draw, n), blockMask: draw.integers(3, Math.ceil(n / GENERAL.blockQ), Math.ceil(n / GENERAL.blockK)) });
const attentionOf = (attrs: typeof ATTENTION, draws: (draw: Draw, n: number) => ReturnType<typeof queries> & { blockMask?: Values } = queries): Row['inputs'] => (draw, n) => {
  const given = draws(draw, n);
  const { q, k, v, blockMask } = given;
  const { out, lse } = attention64(q.data, k.data, v.data, reference.attentionSizes(q.shape, k.shape, attrs, blockMask?.data));
  const floats = (shape: number[], data: Float64Array): Values => ({ shape, dtype: 'float32', data: Float32Array.from(data) });
  return { ...given, out: floats(q.shape, out), lse: floats([2, 4, n], lse), dy: draw.floats(2, n, 4, 8) };
};

const plain: Row[] = ([
  ['evenkeel/attention', 'that is causal', ATTENTION, queries], ['evenkeel/attention', 'with a window', WINDOW, queries], ['evenkeel/attentionGeneral', undefined, GENERAL, general],
] as const).flatMap(([kernel, form, attrs, inputs]): Row[] => {
  const row = { ...(form && { form }), attrs, large: 200, specials: 'spread', slowDenormals: true } as const;
  return [
    { ...row, kernel, tolerance: { rtol: 1e-5, atol: 3e-6 }, inputs, reference: reference.attention },
    { ...row, kernel: `${kernel}Stats`, tolerance: { rtol: 1e-5, atol: 3e-6 }, inputs, reference: reference.attentionStats },
    { ...row, kernel: `${kernel}Grad`, tolerance: { rtol: 1e-5, atol: 1e-5 }, inputs: attentionOf(attrs, inputs), reference: reference.attentionGrad },
  ];
});

/** Two sequences one after another. */
const boundaries = (n: number): Values => ({ shape: [3], dtype: 'int32', data: Int32Array.of(0, n >> 1, n) });
const sequences = (draw: Draw, n: number) => ({ q: draw.floats(n, 4, 8), k: draw.floats(n, 2, 8), v: draw.floats(n, 2, 8), cuSeqlensQ: boundaries(n), cuSeqlensK: boundaries(n) });
const VARLEN = (n: number) => ({ ...ATTENTION, dropout: 0, maxSeqlenQ: n, maxSeqlenK: n });
const varlen: Row[] = [
  { kernel: 'evenkeel/attentionVarlen', attrs: VARLEN, large: 400, tolerance: { rtol: 1e-5, atol: 3e-6 }, inputs: sequences, reference: reference.attentionVarlen, specials: 'spread', slowDenormals: true },
  {
    kernel: 'evenkeel/attentionVarlenGrad', attrs: VARLEN, large: 400, tolerance: { rtol: 1e-5, atol: 1e-5 }, reference: reference.attentionVarlenGrad, specials: 'spread', slowDenormals: true,
    inputs: (draw, n) => {
      const given = sequences(draw, n);
      const out = new Float32Array(n * 32), lse = new Float32Array(4 * n);
      for (const [from, to] of [[0, n >> 1], [n >> 1, n]] as const) {
        const [q, k, v] = [given.q, given.k, given.v].map(({ data, shape }) => data.slice(from * (shape[1] as number) * 8, to * (shape[1] as number) * 8)) as [Float32Array, Float32Array, Float32Array];
        const own = attention64(q, k, v, reference.attentionSizes([1, to - from, 4, 8], [1, to - from, 2, 8], ATTENTION));
        out.set(own.out, from * 32);
        for (let h = 0; h < 4; h++) lse.set(own.lse.slice(h * (to - from), (h + 1) * (to - from)), h * n + from);
      }
      return { ...given, out: { shape: [n, 4, 8], dtype: 'float32', data: out }, lse: { shape: [4, n], dtype: 'float32', data: lse }, dy: draw.floats(n, 4, 8) } as Record<string, Values>;
    },
  },
];

const PACKED = { ...ATTENTION, numHeads: 4, numKvHeads: 2 };
const packed: Row[] = [
  ...([['evenkeel/attentionPacked', reference.attentionPacked], ['evenkeel/attentionPackedStats', reference.attentionPackedStats]] as const).map(([kernel, of]): Row => ({
    kernel, attrs: PACKED, large: 200, tolerance: { rtol: 1e-5, atol: 3e-6 }, inputs: (draw, n) => ({ qkv: draw.floats(2, n, 64) }), reference: of, specials: 'spread', slowDenormals: true,
  })),
  {
    kernel: 'evenkeel/attentionPackedGrad', attrs: PACKED, large: 200, tolerance: { rtol: 1e-5, atol: 1e-5 }, reference: reference.attentionPackedGrad, specials: 'spread', slowDenormals: true,
    inputs: (draw, n) => {
      const { q, k, v, out, lse, dy } = attentionOf(ATTENTION)(draw, n);
      return { qkv: joined([q, k, v] as Values[], 2 * n), out, lse, dy } as Record<string, Values>;
    },
  },
  {
    kernel: 'evenkeel/attentionBiasGrad', attrs: { ...ATTENTION, causal: false }, large: 200, tolerance: { rtol: 1e-5, atol: 1e-5 }, specials: 'notFinite', slowDenormals: true,
    inputs: (draw, n) => {
      const t = Math.max(n, 1);
      const [q, k, v] = [draw.floats(2, t, 4, 8), draw.floats(2, t, 4, 8), draw.floats(2, t, 4, 8)];
      const bias = draw.floats(1, 4, t, t);
      const { out, lse } = attention64(q.data, k.data, v.data, { batchSize: 2, seqLen: t, kvLen: t, numHeads: 4, headDim: 8, scale: ATTENTION.scale, bias: { values: bias.data, shape: bias.shape } });
      const floats = (shape: number[], data: Float64Array): Values => ({ shape, dtype: 'float32', data: Float32Array.from(data) });
      return { q, k, v, bias, out: floats(q.shape, out), lse: floats([2, 4, t], lse), dy: draw.floats(2, t, 4, 8) };
    },
    reference: gradientOf(reference.attentionWithBias, 'bias'),
  },
];

/** Tensors of `count` rows side by side, as one of shape 2 × count / 2 × the sum of their widths. */
function joined(parts: readonly Values[], count: number): Values {
  const rowsOf = parts.map(({ data }) => (i: number) => [...data.subarray((i * data.length) / count, ((i + 1) * data.length) / count)]);
  return { shape: [2, count / 2, 64], dtype: 'float32', data: Float32Array.from(Array.from({ length: count }, (_, i) => rowsOf.flatMap((rowOf) => rowOf(i))).flat()) };
}

/** ATTENTION_ROWS — those of attention's kernels. */
export const ATTENTION_ROWS: readonly Row[] = [...plain, ...varlen, ...packed];
