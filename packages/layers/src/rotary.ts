import { checkDtype, checkFunction, checkInteger, checkPositive, checkRank, ConfigError, fusedOp, type AttentionFn } from '@evenkeel/core-tensor';
import { tidy, type Tensor } from '@tensorflow/tfjs-core';
import { referenceRotary, type RotaryAttrs } from './reference/rotary.ts';
import { countedRotaryTable, rotaryTable } from './rotaryTable.ts';

export type RotaryAttentionOptions = {
  /** Wavelengths grow from 2π to 2π · base tokens; default 10000. Llama 3 has 500000. */
  readonly base?: number;
  /** Whether channels 2i and 2i + 1 are a pair, as in the paper and GPT-J; else i and i + rotaryDim/2, as in GPT-NeoX and Llama. Default false. */
  readonly interleaved?: boolean;
  /** Channels that are turned, an even number; the rest passes unchanged. Default all. */
  readonly rotaryDim?: number;
};
export type RotaryOptions = RotaryAttentionOptions & {
  /** Position of the first token; the others follow. Default 0. */
  readonly offset?: number;
  /** In place of `offset`: the position of every token, `t` numbers for all sequences or `b·t` row by row. */
  readonly positions?: ArrayLike<number>;
};

const fusedRotary: (inputs: { x: Tensor }, attrs: RotaryAttrs) => Tensor = fusedOp<{ x: Tensor }, RotaryAttrs>({
  name: 'evenkeel/rotary',
  reference: referenceRotary,
  gradient: {
    kernels: ['evenkeel/rotary'],
    readsInputs: false,
    run: ({ dy, attrs }) => ({ x: () => fusedRotary({ x: dy }, { ...attrs, inverse: !attrs.inverse }) }), // a rotation's transpose turns back
  },
  differentiable: 'twice',
});

/**
 * rotary — turns each pair of channels by an angle that grows with the token's position, so that a product of a query and a key depends
 * on how far apart they are.
 *
 *     (a, b) → (a·cos θ − b·sin θ, b·cos θ + a·sin θ)        θ = position · base^(−2i/rotaryDim) for pair i
 *
 * @param x        `b t h d` — queries or keys, float32.
 * @param options  `base` (default 10000), `offset` (default 0) or `positions`, `interleaved` (default false), `rotaryDim` (default d).
 * @returns        `b t h d` — a new tensor owned by the caller.
 * @throws ShapeError   if `x` is not float32 of rank 4.
 * @throws ConfigError  if `rotaryDim` is odd or greater than d, `base` not positive, `offset` not finite, `positions` of another length,
 *                      or both are given.
 *
 * Source: Su et al. 2021, arXiv:2104.09864, eqs. 15 and 34. Departs from most code in computing angles in float64: in float32 they are
 * some thousandths of a radian off at position 100,000.
 */
export function rotary<T extends Tensor>(x: T, options: RotaryOptions = {}): T {
  checkDtype('rotary', 'x', x, 'float32');
  checkRank('rotary', 'x', x, 4);
  const { rotaryDim = x.shape[3] as number, interleaved = false } = options;
  checkRotaryDim('rotary', rotaryDim, x.shape[3] as number);
  const table = tableFor(x, rotaryDim, options);
  return tidy('rotary', () => fusedRotary({ x }, { table, rotaryDim, interleaved, inverse: false })) as T;
}

/**
 * rotaryAttention — an attention that sees positions, as a value for models: `transformerBlock({ attention: rotaryAttention(flashAttention), … })`.
 *
 * Turns keys by positions 0 … s − 1 and query i by i + s − t, and then attends: so a cache of keys that are not turned yet, which is
 * what `transformerBlock` keeps, gives what one pass gives.
 *
 * @param attention  any AttentionFn.
 * @param options    as for `rotary`, without `offset` and `positions`.
 * @returns          an AttentionFn.
 *
 * Source: Su et al. 2021, arXiv:2104.09864, §3.2.
 */
export function rotaryAttention(attention: AttentionFn, { base = 10000, interleaved = false, rotaryDim }: RotaryAttentionOptions = {}): AttentionFn {
  checkFunction('rotaryAttention', 'attention', attention, 'flashAttention');
  checkPositive('rotaryAttention', 'base', base);
  if (rotaryDim !== undefined) checkRotaryDim('rotaryAttention', rotaryDim);
  const options: RotaryOptions = { base, interleaved, ...(rotaryDim === undefined ? {} : { rotaryDim }) };
  return (q, k, v, call) => tidy('rotaryAttention', () => {
    const turnedK = rotary(k, options); // b s g d
    const turnedQ = rotary(q, { ...options, offset: (k.shape[1] as number) - (q.shape[1] as number) }); // b t h d
    return attention(turnedQ, turnedK, v, call);
  });
}

function tableFor(x: Tensor, rotaryDim: number, { base = 10000, offset, positions }: RotaryOptions): Float32Array {
  checkPositive('rotary', 'base', base);
  const [B, T] = x.shape as [number, number];
  if (positions === undefined) {
    const first = offset ?? 0;
    if (!Number.isFinite(first)) throw new ConfigError(`rotary: offset must be a finite number, got ${String(first)}`);
    return countedRotaryTable(first, T, base, rotaryDim);
  }
  if (offset !== undefined) throw new ConfigError('rotary: positions must be given without offset, got both');
  if (positions.length !== T && positions.length !== B * T) {
    throw new ConfigError(`rotary: positions must have ${T} numbers (t) or ${B * T} (b·t), got ${positions.length}`);
  }
  return rotaryTable(positions, base, rotaryDim);
}

function checkRotaryDim(fn: string, rotaryDim: number, headDim = Infinity): void {
  checkInteger(fn, 'rotaryDim', rotaryDim, 2);
  if (rotaryDim % 2 !== 0 || rotaryDim > headDim) {
    throw new ConfigError(`${fn}: rotaryDim must be even${headDim === Infinity ? '' : ` and at most ${headDim}`}, got ${rotaryDim}`);
  }
}
