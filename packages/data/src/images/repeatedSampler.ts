import { checkDivisible, checkInteger } from '@evenkeel/core-tensor';
import { samplerOf, type OneEpochOptions, type OneEpochSampler } from '../oneEpochSampler.ts';

/** RepeatedSamplerOptions — `repeats`: how often each image stands in its batch; divides `batchSize`. Default 3. */
export type RepeatedSamplerOptions = OneEpochOptions & { repeats?: number };

/**
 * repeatedSampler — repeated augmentation: each batch holds fewer images, each several times, which augmentations then make different.
 *
 * In an epoch every image is the source of one batch, `repeats` times: so it has `repeats` times as many steps as without.
 *
 * @throws ConfigError  if `repeats` does not divide `batchSize`, or there are fewer images than a batch holds.
 *
 * Source: Hoffer et al. 2019, arXiv:1901.09335.
 */
export function repeatedSampler({ repeats = 3, batchSize, ...options }: RepeatedSamplerOptions): OneEpochSampler {
  checkInteger('repeatedSampler', 'repeats', repeats);
  checkDivisible('repeatedSampler', 'batchSize', batchSize, 'repeats', repeats);
  const sampler = samplerOf('repeatedSampler', 'images', { ...options, batchSize: batchSize / repeats });
  return {
    ...sampler,
    indices: (step) => {
      const distinct = sampler.indices(step);
      return Uint32Array.from({ length: batchSize }, (_, i) => distinct[i % distinct.length] as number);
    },
  };
}
