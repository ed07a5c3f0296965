import { acos, clipByValue, clone, dispose, div, keep, mean, moments, mul, norm, sum, tidy, type Tensor } from '@tensorflow/tfjs-core';
import type { Params, Tree } from '@evenkeel/core-tensor';
import type { Gpt, GptParams } from '@evenkeel/models-gpt';
import type { TokenBatch } from './lab.ts';

/** HiddenProfile — the residual stream over depth, on one batch: index 0 is the embedding, l the stream after block l. */
export type HiddenProfile = {
  /** Variance over the channels, mean over tokens. */
  readonly variances: readonly number[];
  /** Between the streams before and after each block: 0 parallel, 1/2 orthogonal; one per block. */
  readonly angularDistances: readonly number[];
};

/** hiddenProfile — variances and angular distances of a model. Borrows everything. */
export async function hiddenProfile(model: Gpt, params: Params & GptParams, { inputs }: TokenBatch, state: Tree<Tensor> = {}): Promise<HiddenProfile> {
  const streams: Tensor[] = [];
  const made = tidy(() => {
    model.apply(inputs, params, { state, observe: (name, value) => { if (name === 'embedding' || /^blocks\.\d+\.out$/.test(name)) streams.push(keep(clone(value))); } }).dispose();
    return {
      variances: streams.map((x) => mean(moments(x, -1).variance)),
      angularDistances: streams.slice(1).map((x, i) => mean(angle(streams[i] as Tensor, x))),
    };
  });
  dispose(streams);
  const read = async (scalars: readonly Tensor[]): Promise<number[]> => Promise.all(scalars.map(async (scalar) => {
    const [value] = await scalar.data();
    scalar.dispose();
    return value as number;
  }));
  return { variances: await read(made.variances), angularDistances: await read(made.angularDistances) };
}

/** Angle between the rows of two tensors over π. */
function angle(a: Tensor, b: Tensor): Tensor {
  const cosine = div(sum(mul(a, b), -1), mul(norm(a, 2, -1), norm(b, 2, -1)));
  return div(acos(clipByValue(cosine, -1, 1)), Math.PI);
}

