import { describe, expect, it } from 'vitest';
import { uniformValues } from '@evenkeel/core-tensor';
import { sampleToken } from '@evenkeel/models-gpt';

const logits = Float32Array.from([0, 3, 1, 2]);

const drawn = (options: Parameters<typeof sampleToken>[2], count = 4000): number[] => {
  const counts = [0, 0, 0, 0];
  uniformValues(count, 7).forEach((uniform) => { counts[sampleToken(logits, uniform, options)]! += 1; });
  return counts.map((each) => each / count);
};

describe('sampleToken', () => {
  it('sampleToken with temperature 0 takes the most probable token, the first of equals', () => {
    expect(sampleToken(logits, 0.99, { temperature: 0 })).toBe(1);
    expect(sampleToken(Float32Array.from([5, 5, 5]), 0.99, { temperature: 0 })).toBe(0);
  });

  it('sampleToken draws with the probabilities of the softmax', () => {
    const weights = [...logits].map((x) => Math.exp(x / 2));
    const total = weights.reduce((a, b) => a + b);
    drawn({ temperature: 2 }).forEach((share, i) => expect(Math.abs(share - weights[i]! / total)).toBeLessThan(0.03));
  });

  it('sampleToken with topK draws only from the k best', () => {
    const shares = drawn({ topK: 2, temperature: 10 });
    expect(shares[0]).toBe(0);
    expect(shares[2]).toBe(0);
    expect(shares[3]).toBeGreaterThan(0.4);
  });

  it('sampleToken with topP keeps the shortest prefix that reaches the probability, never none', () => {
    expect(drawn({ topP: 1e-6 })).toEqual([0, 1, 0, 0]);
    const shares = drawn({ topP: 0.8 }); // softmax: 0.03 0.64 0.09 0.24
    expect([shares[0], shares[2]]).toEqual([0, 0]);
    expect(shares[3]).toBeGreaterThan(0.2);
  });

  it('sampleToken survives infinite logits and refuses NaN', () => {
    expect(sampleToken(Float32Array.from([-Infinity, 1, -Infinity]), 0.999)).toBe(1);
    expect(() => sampleToken(Float32Array.from([0, NaN]), 0.5)).toThrow('sampleToken: logits must be numbers, got NaN');
  });
});
