import { dispose, tidy, type Tensor } from '@tensorflow/tfjs-core';
import type { Params } from '@evenkeel/core-tensor';
import { angularDistance, collectHidden, layerVariances } from '@evenkeel/diagnostics';
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
export async function hiddenProfile(model: Gpt, params: Params & GptParams, { inputs }: TokenBatch): Promise<HiddenProfile> {
  const made = tidy(() => {
    const hidden = collectHidden((observe) => model.apply(inputs, params, { observe }));
    const measured = [layerVariances(hidden), angularDistance(hidden)] as [Tensor, Tensor];
    dispose(hidden);
    return measured;
  });
  const [variances, angularDistances] = await Promise.all(made.map(async (numbers) => Array.from(await numbers.data())));
  dispose(made);
  return { variances: variances as number[], angularDistances: angularDistances as number[] };
}
