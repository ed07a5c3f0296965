import { dispose, tensor2d, type Tensor2D } from '@tensorflow/tfjs-core';
import { checkInteger, ConfigError, foldSeed, uniformValues, type Seed } from '@evenkeel/core-tensor';
import type { Gpt, GptCache, GptParams } from './gpt.ts';
import { checkSampling, sampleToken, type SamplingOptions } from './sampling.ts';

export type GenerateOptions = SamplingOptions & {
  /** How many tokens to draw. */
  readonly maxTokens: number;
  readonly seed: Seed;
  /** A token that ends the text; it is not yielded. */
  readonly stopToken?: number;
};

/**
 * generate — continues a sequence of token ids, one token at a time, with a key-value cache.
 *
 * When the context is full, the older half is dropped and the cache rebuilt from the newer half, since learned positions cannot
 * be shifted.
 *
 * @param prompt  token ids, at least one.
 * @yields        the drawn token ids. Holds no tensors after it ends, is returned from, or throws.
 * @throws ConfigError  if the prompt is empty, holds an id outside the vocabulary, or an option is out of range.
 */
export async function* generate(model: Gpt, params: GptParams, prompt: ArrayLike<number>, options: GenerateOptions): AsyncGenerator<number> {
  const { maxTokens, seed, stopToken } = options;
  checkInteger('generate', 'maxTokens', maxTokens, 0);
  checkSampling('generate', options);
  const { contextLength } = model.config;
  const tokens = checkedPrompt(prompt, model.config.vocabSize);
  let cache: GptCache | null = null;
  let pending = tokens.slice(-contextLength);
  try {
    for (let drawn = 0; drawn < maxTokens; drawn++) {
      if ((cache?.length ?? 0) + pending.length > contextLength) {
        dispose(cache?.blocks as never);
        cache = null;
        pending = tokens.slice(-Math.max(1, contextLength >> 1));
      }
      const step: { values: Float32Array; cache: GptCache } = await decodeStep(model, params, pending, cache);
      cache = step.cache;
      const [uniform] = uniformValues(1, foldSeed(seed, 'generate', drawn));
      const token = sampleToken(step.values, uniform as number, options);
      if (token === stopToken) return;
      tokens.push(token);
      pending = [token];
      yield token;
    }
  } finally {
    dispose(cache?.blocks as never);
  }
}

async function decodeStep(model: Gpt, params: GptParams, ids: readonly number[], cache: GptCache | null): Promise<{ values: Float32Array; cache: GptCache }> {
  const input: Tensor2D = tensor2d([...ids], [1, ids.length], 'int32');
  const next = model.decode(input, params, cache);
  dispose([input, cache?.blocks as never]);
  const values = (await next.logits.data()) as Float32Array;
  next.logits.dispose();
  return { values, cache: next.cache };
}

function checkedPrompt(prompt: ArrayLike<number>, vocabSize: number): number[] {
  const ids = Array.from(prompt);
  if (ids.length === 0) throw new ConfigError('generate: prompt must have at least one token, got none');
  const bad = ids.find((id) => !Number.isInteger(id) || id < 0 || id >= vocabSize);
  if (bad !== undefined) throw new ConfigError(`generate: prompt must have ids from 0 to ${vocabSize - 1}, got ${bad}`);
  return ids;
}
