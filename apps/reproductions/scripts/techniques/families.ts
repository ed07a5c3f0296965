import { tensor1d, tensor2d, type Tensor } from '@tensorflow/tfjs-core';
import { randomNormal, type Params } from '@evenkeel/core-tensor';
import { bert, bertWithHead, maskedLmHead } from '@evenkeel/models-bert';
import { gpt, type GptTechniques } from '@evenkeel/models-gpt';
import { vit, type VitTechniques } from '@evenkeel/models-vit';
import type { Level } from '@evenkeel/training';

/** Techniques — what models of more than one family take. */
export type Techniques = Omit<GptTechniques & VitTechniques, 'head' | 'zLoss'> & { dropout?: number };

export type Batch = { readonly [name: string]: Tensor };
export type Model = Level<Params, Batch>;

/** Family — a kind of model: tiny ones of it, and what they are trained on. */
export type Family = {
  /** A model with these techniques; `small`: the one that is half of it in everything, for multi-level training. */
  model(techniques: Techniques, small?: boolean): Model;
  /** Batch of a step: four rows, the caller's. */
  batch(step: number): Batch;
};

const VOCAB = 11;
const ROWS = 4;
const LENGTH = 8;

const sizesOf = (small: boolean) => (small ? { depth: 1, dim: 8, numHeads: 1 } : { depth: 2, dim: 16, numHeads: 2 });
/** A word embedding that is the head as well needs twice the factor in half the width. */
const textSizes = (small: boolean) => ({ vocabSize: VOCAB, contextLength: LENGTH, logitScale: small ? 2 : 1, ...sizesOf(small) });
const rows = (valueAt: (row: number, place: number) => number): Tensor =>
  tensor2d(Array.from({ length: ROWS * LENGTH }, (_, i) => valueAt(Math.floor(i / LENGTH), i % LENGTH)), [ROWS, LENGTH], 'int32');

/** Counting by three, from a number that differs from row to row and step to step. */
const countingFrom = (step: number) => (row: number, place: number): number => (step + row + 3 * place) % VOCAB;

/** Two places of each row are masked; the last row is two places shorter than the others. */
const isMasked = (place: number): boolean => place % 3 === 2;
const isThere = (row: number, place: number): boolean => row < ROWS - 1 || place < LENGTH - 2;

/** FAMILIES — all of them, by name. */
export const FAMILIES = {
  gpt: {
    model: (techniques, small = false) => gpt({ ...textSizes(small), ...techniques }) as unknown as Model,
    batch: (step) => ({ inputs: rows(countingFrom(step)), targets: rows((row, place) => countingFrom(step)(row, place + 1)) }),
  },
  bert: {
    model: (techniques, small = false) => bertWithHead(bert({ ...textSizes(small), ...techniques }), maskedLmHead()) as unknown as Model,
    batch: (step) => ({
      ids: rows((row, place) => (isMasked(place) ? 0 : countingFrom(step)(row, place))),
      tokenTypes: rows((_, place) => Number(place >= LENGTH / 2)),
      mask: rows((row, place) => Number(isThere(row, place))),
      labels: rows((row, place) => (isMasked(place) && isThere(row, place) ? countingFrom(step)(row, place) : -100)),
    }),
  },
  vit: {
    model: (techniques, small = false) => vit({ imageSize: 8, patchSize: 4, numClasses: 3, ...sizesOf(small), ...techniques }) as unknown as Model,
    batch: (step) => ({ images: randomNormal([ROWS, 8, 8, 3], { seed: step }), targets: tensor1d([0, 1, 2, 1], 'int32') }),
  },
} as const satisfies Record<string, Family>;

export type FamilyName = keyof typeof FAMILIES;
