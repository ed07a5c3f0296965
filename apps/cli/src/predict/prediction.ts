import type { Classified } from '../classified.ts';

/** Likely — a class or token, and how probable it is. */
export type Likely = { readonly label: string; readonly probability: number };

/** Prediction — what a model says of one input: `input` is the text, the file or the question. */
export type Prediction = {
  readonly input: string;
  readonly label: string;
  readonly probability?: number;
  /** The likeliest ones, of classes or of tokens at each mask. */
  readonly top?: readonly Likely[];
  readonly masks?: readonly (readonly Likely[])[];
  /** Words with their tags. */
  readonly words?: readonly (readonly [word: string, tag: string])[];
  /** The number that a model with a head for one says; `label` is the same in words. */
  readonly value?: number;
  readonly id?: string;
  /** Where an answer stands in its context. */
  readonly start?: number;
};

/** Predicted — predictions; how many of the texts were cut, what else there is to say of them, and what was measured where labels are known. */
export type Predicted = { readonly predictions: Prediction[]; readonly cut: number; readonly notes: readonly string[]; readonly score?: Readonly<Record<string, number>> };

/** likeliest — the `count` likeliest of some probabilities. */
export function likeliest(probabilities: ArrayLike<number>, nameOf: (id: number) => string, count: number): Likely[] {
  const order = Array.from(probabilities, (_, id) => id).sort((a, b) => (probabilities[b] as number) - (probabilities[a] as number));
  return order.slice(0, count).map((id) => ({ label: nameOf(id), probability: probabilities[id] as number }));
}

/** ofClasses — predictions of classes. */
export function ofClasses({ numClasses, probabilities }: Classified, inputs: readonly string[], classes: readonly string[], count: number): Prediction[] {
  return inputs.map((input, i) => {
    const top = likeliest(probabilities.subarray(i * numClasses, (i + 1) * numClasses), (id) => classes[id] ?? String(id), count);
    return { input, label: top[0]?.label ?? '', probability: top[0]?.probability ?? 0, top };
  });
}
