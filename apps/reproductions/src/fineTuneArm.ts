import { dispose, type Tensor, type TensorContainer } from '@tensorflow/tfjs-core';
import { foldSeed, param, treeMap, type Tree } from '@evenkeel/core-tensor';
import { oneEpochSampler } from '@evenkeel/data';
import { accuracy, bertWithHead, classificationHead, fineTuningOptimizer, labelledBatch, predictClasses, type Bert, type BertHead, type BertInputs, type BertWithHead, type LabelledBatch, type LabelledSequence } from '@evenkeel/models-bert';
import { train } from '@evenkeel/training';
import type { BertLeaves } from './maskedText.ts';

/** FineTuneOptions — `examples`, in batches that `batchOf` makes tensors of, and the head that learns them. */
export type FineTuneOptions<Out, Batch extends BertInputs, Example> = {
  readonly encoder: Bert;
  readonly head: BertHead<Out, Batch>;
  /** A pre-trained model; its encoder is copied. Without it everything starts fresh. */
  readonly from?: BertLeaves | undefined;
  readonly examples: readonly Example[];
  readonly batchOf: (examples: readonly Example[]) => Batch;
  /** What is measured before the first step and `evaluations` times along the run, the last time behind its last step. */
  readonly score: (model: BertWithHead<Out, Batch>, params: BertLeaves) => Promise<number>;
  readonly evaluations?: number;
  readonly batchSize: number;
  readonly steps: number;
  readonly learningRate: number;
  readonly weightDecay: number;
  readonly seed: number;
};

/** FineTuned — the score at the end, and along the run. */
export type FineTuned = { readonly score: number; readonly scores: readonly (readonly [step: number, score: number])[] };

/** fineTuneArm — fine-tunes an encoder with a fresh head. Head and batches hang on the seed alone. */
export async function fineTuneArm<Out extends Tensor | { readonly [name: string]: Tensor }, Batch extends BertInputs, Example>(
  { encoder, head, from, examples, batchOf, score, evaluations = 1, batchSize, steps, seed, ...recipe }: FineTuneOptions<Out, Batch, Example>,
): Promise<FineTuned> {
  const model = bertWithHead<Out, Batch>(encoder, head);
  const params = started(model.init({ seed }) as BertLeaves, from);
  const sampler = oneEpochSampler({ count: examples.length, batchSize, seed: foldSeed(seed, 'order'), allowRepeat: true });
  const scores: [number, number][] = [];
  try {
    scores.push([0, await score(model, params)]);
    await train({
      params, steps, seed, capture: false,
      batches: (step) => batchOf(Array.from(sampler.indices(step), (i) => examples[i] as Example)),
      loss: (leaves, batch, call) => model.loss(batch, leaves, call),
      optimizer: fineTuningOptimizer(model.specs, { ...recipe, steps }),
      evaluate: () => score(model, params), evalEvery: Math.ceil(steps / evaluations),
      callbacks: { onEval: ({ step, valLoss }) => void scores.push([step, valLoss]) },
    });
  } finally {
    dispose(params as TensorContainer);
  }
  return { score: scores.at(-1)?.[1] ?? NaN, scores };
}

/** ClassesOptions — a task of two classes: what to learn it from, what to test it on, and by which metric. */
export type ClassesOptions = Omit<FineTuneOptions<Tensor, LabelledBatch, LabelledSequence>, 'head' | 'batchOf' | 'score'> & {
  readonly test: readonly (LabelledSequence & { readonly label: number })[];
  readonly metric?: (predictions: ArrayLike<number>, labels: ArrayLike<number>) => number;
};

/** fineTuneClasses — `fineTuneArm` for two classes of sequences. */
export function fineTuneClasses({ test, metric = accuracy, ...options }: ClassesOptions): Promise<FineTuned> {
  const labels = test.map(({ label }) => label);
  return fineTuneArm({
    ...options, head: classificationHead({ numClasses: 2 }), batchOf: (examples) => labelledBatch(examples),
    score: async (model, params) => metric(await predictClasses(model, params, test), labels),
  });
}

/** Fresh values with a copy of a pre-trained encoder in the place of theirs. */
function started({ head, ...fresh }: BertLeaves, from: BertLeaves | undefined): BertLeaves {
  if (from === undefined) return { ...fresh, head } as BertLeaves;
  const { head: _, ...encoder } = from;
  dispose(fresh as TensorContainer);
  const copies = treeMap((value: Tensor) => param(() => value.clone()), encoder as Tree<Tensor>);
  return { ...copies as object, head } as BertLeaves;
}
