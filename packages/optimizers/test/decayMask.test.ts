import { decayMask } from '@evenkeel/optimizers';
import { expect, it } from 'vitest';
import { specs } from './helpers.ts';

it('decayMask(specs) is true for matrices and embeddings, false for norms, biases and scalars, in the same structure', () => {
  expect(decayMask(specs)).toEqual({ embed: true, blocks: [{ norm: false, weight: true }, { bias: false }], head: { weight: true }, gain: false });
});
