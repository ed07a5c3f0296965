import {
  bert, bertWithHead, classificationHead, maskedLmHead, mosaicBert, regressionHead, spanHead, tokenClassificationHead, type Bert, type BertHead, type BertHeadKind, type BertInputs, type BertSizes, type BertWithHead,
} from '@evenkeel/models-bert';
import type { StackTechniques } from '@evenkeel/layers';
import type { Tensor } from '@tensorflow/tfjs-core';
import { stackTechniquesOf, type ModelTechniques } from '../techniques.ts';
import type { ARCHS } from '../techniqueNames.ts';

/** BertTechniques — what an encoder computes with besides its sizes: a saved model says it of itself. */
export type BertTechniques = ModelTechniques & { readonly arch: (typeof ARCHS)[number] };

/** CLASSIC — BERT as it is. */
export const CLASSIC: BertTechniques = { placement: 'own', norm: 'layer', qkNorm: false, arch: 'bert' };

/** AnyHead — whichever head it is. */
// eslint-disable-next-line @typescript-eslint/no-explicit-any -- heads differ in their batches, which whoever trains one knows
export type AnyHead = BertHead<any, any>;
// eslint-disable-next-line @typescript-eslint/no-explicit-any -- likewise
export type AnyBert = BertWithHead<any, any>;

/** HeadSays — which head, as plain data. */
export type HeadSays = { readonly kind: BertHeadKind; readonly numClasses?: number };

/** bertOf — an encoder of some sizes that computes with some techniques; `more` concerns its training alone. */
export function bertOf(sizes: BertSizes, techniques: BertTechniques, more: Pick<StackTechniques, 'linear'> = {}): Bert {
  const make = techniques.arch === 'mosaic' ? mosaicBert : bert;
  return make({ ...sizes, ...stackTechniquesOf(techniques, { own: 'own', normEps: sizes.normEps ?? 1e-12 }), ...more });
}

/** headOf — a head by what is said of it. */
export function headOf({ kind, numClasses = 2 }: HeadSays): AnyHead {
  if (kind === 'classification') return classificationHead({ numClasses });
  if (kind === 'regression') return regressionHead();
  if (kind === 'tokenClassification') return tokenClassificationHead({ numClasses });
  return (kind === 'span' ? spanHead() : maskedLmHead()) as BertHead<Tensor, BertInputs>;
}

/** headed — an encoder with a head by what is said of it. */
export const headed = (encoder: Bert, says: HeadSays): AnyBert => bertWithHead(encoder, headOf(says));
