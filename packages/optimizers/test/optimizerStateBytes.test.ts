import type { GradientTransform } from '@evenkeel/core-tensor';
import { adafactor, adamw, chain, clipByGlobalNorm, lamb, lars, lion, muon, optimizerStateBytes, scaleByAdam, scaleByLearningRate, sgd, sgdSai } from '@evenkeel/optimizers';
import { expect, it } from 'vitest';
import { free, makeParams, specs } from './helpers.ts';

const ELEMENTS = 13 * 5 + 65 + 3 * 65 + 130 + 7 + 1;
const PARAMETERS = 5 + 1; // leaves

const bytesOf = (optimizer: unknown): number => {
  const params = makeParams();
  const state = (optimizer as GradientTransform).init(params);
  const bytes = optimizerStateBytes(state);
  free(params, state);
  return bytes;
};

it('optimizerStateBytes(state) of SGD-SaI is half of AdamW\'s, but for one number per parameter', () => {
  expect(bytesOf(adamw({ learningRate: 1 }))).toBe(8 * ELEMENTS);
  expect(bytesOf(sgdSai({ learningRate: 1 }))).toBe(4 * ELEMENTS + 4 * PARAMETERS);
});

it('optimizerStateBytes(state) counts every tensor of a state, within links and groups too, and no counter', () => {
  expect(bytesOf(chain(clipByGlobalNorm(1), scaleByAdam(), scaleByLearningRate(1)))).toBe(8 * ELEMENTS);
  expect(bytesOf(lamb({ learningRate: 1 }))).toBe(8 * ELEMENTS);
  for (const optimizer of [lion({ learningRate: 1 }), lars({ learningRate: 1 }), sgd({ learningRate: 1, momentum: 0.9 })]) expect(bytesOf(optimizer)).toBe(4 * ELEMENTS);
  expect(bytesOf(sgd({ learningRate: 1 }))).toBe(0);
  expect(bytesOf(muon(specs, { learningRate: 1 }))).toBe(4 * 3 * 65 + 8 * (ELEMENTS - 3 * 65));
  expect(bytesOf(adafactor())).toBe(4 * (ELEMENTS + PARAMETERS));
  expect(bytesOf(adafactor({ minDim: 3 }))).toBe(4 * (13 + 5 + 3 + 65 + (1 + 65) + (1 + 130) + (1 + 7) + (1 + 1)));
});
