import { checkDtype, checkProbability, ConfigError, fusedOp, randomBits, seedKey, type Seed, type StepNumber } from '@evenkeel/core-tensor';
import { clone, mul, tensor, tidy, type Tensor } from '@tensorflow/tfjs-core';

export type DropoutOptions = {
  /** Probability of dropping each element, in [0, 1). */
  rate: number;
  /** Which elements: the same seed drops the same ones, on every backend. Needed only where dropout acts. */
  seed?: Seed;
  /** Whether dropout acts; default false. */
  train?: boolean;
};

type Attrs = { rate: number; key0: number | StepNumber; key1: number | StepNumber };

function referenceDropout({ x }: { x: Tensor }, { rate, key0, key1 }: Attrs): Tensor {
  const bits = randomBits(Number(key1) * 2 ** 32 + Number(key0), x.size);
  const keep = Float32Array.from(bits, (word) => (word >= rate * 2 ** 32 ? 1 / (1 - rate) : 0));
  return mul(x, tensor(keep, x.shape));
}

const fusedDropout: (inputs: { x: Tensor }, attrs: Attrs) => Tensor = fusedOp<{ x: Tensor }, Attrs>({
  name: 'evenkeel/dropout',
  reference: referenceDropout,
  gradient: {
    kernels: ['evenkeel/dropout'],
    readsInputs: false,
    run: ({ dy, attrs }) => ({ x: () => fusedDropout({ x: dy }, attrs) }), // linear in x: the same elements are dropped
  },
  differentiable: 'twice',
});

/**
 * dropout — sets each element to 0 with probability `rate` and scales the others by 1/(1 − rate).
 *
 * No mask is stored: forward and backward draw the same bits from the seed. Element i is kept iff bits(i) ≥ rate·2³².
 *
 * @param x        `...` — float32.
 * @param options  `rate` in [0, 1); `seed`; `train` (default false: the result equals `x`).
 * @returns        `...` — a new tensor owned by the caller, also where nothing is dropped.
 * @throws ConfigError  if `rate` is out of range, or dropout acts without a seed.
 *
 * Source: Srivastava et al. 2014, JMLR 15. Departs from the paper: scales in training instead of evaluation.
 */
export function dropout<T extends Tensor>(x: T, { rate, seed, train = false }: DropoutOptions): T {
  checkDtype('dropout', 'x', x, 'float32');
  checkProbability('dropout', 'rate', rate);
  if (!train || rate === 0) return clone(x);
  if (seed === undefined) throw new ConfigError('dropout: seed must be given when train is true, got undefined');
  const [key0, key1] = seedKey(seed);
  return tidy('dropout', () => fusedDropout({ x }, { rate, key0, key1 })) as T;
}
