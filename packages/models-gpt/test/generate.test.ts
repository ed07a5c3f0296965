import { dispose, memory } from '@tensorflow/tfjs-core';
import { describe, expect, it } from 'vitest';
import { generate, gpt } from '@evenkeel/models-gpt';
import { forEachBackend } from '@evenkeel/testing';

const model = gpt({ vocabSize: 11, contextLength: 8, depth: 1, dim: 8, numHeads: 2 });

async function collect(prompt: number[], options: Partial<Parameters<typeof generate>[3]> = {}): Promise<number[]> {
  const params = model.init({ seed: 4 });
  const tokens: number[] = [];
  try {
    for await (const token of generate(model, params, prompt, { maxTokens: 6, seed: 1, ...options })) tokens.push(token);
  } finally {
    dispose(params as never);
  }
  return tokens;
}

forEachBackend(() => {
  describe('generate', () => {
    it('generate gives the same tokens for the same seed and others for another', async () => {
      const tokens = await collect([1, 2]);
      expect(tokens).toHaveLength(6);
      expect(await collect([1, 2])).toEqual(tokens);
      expect(await collect([1, 2], { seed: 2 })).not.toEqual(tokens);
    });

    it('generate goes on past the context and accepts a prompt longer than it', async () => {
      expect(await collect([1, 2, 3], { maxTokens: 30 })).toHaveLength(30);
      expect(await collect(Array.from({ length: 20 }, (_, i) => i % 11), { maxTokens: 3 })).toHaveLength(3);
    });

    it('generate holds no tensors after its end, a break, or an error', async () => {
      const params = model.init({ seed: 4 });
      const before = memory().numTensors;
      for await (const token of generate(model, params, [1], { maxTokens: 20, seed: 1 })) if (token >= 0) break;
      for await (const token of generate(model, params, [1], { maxTokens: 12, seed: 1 })) expect(token).toBeLessThan(11);
      await expect(generate(model, params, [99], { maxTokens: 2, seed: 1 }).next()).rejects.toThrow('generate: prompt must have ids from 0 to 10, got 99');
      await expect(generate(model, params, [], { maxTokens: 2, seed: 1 }).next()).rejects.toThrow('generate: prompt must have at least one token, got none');
      await expect(generate(model, params, [1], { maxTokens: 2, seed: 1, temperature: -1 }).next()).rejects.toThrow('temperature');
      expect(memory().numTensors).toBe(before);
      dispose(params as never);
    });

    it('generate ends at the stop token', async () => {
      const tokens = await collect([1, 2], { maxTokens: 40 });
      const stopToken = tokens[5]!;
      expect(await collect([1, 2], { maxTokens: 40, stopToken })).toEqual(tokens.slice(0, tokens.indexOf(stopToken)));
    });
  });
});
