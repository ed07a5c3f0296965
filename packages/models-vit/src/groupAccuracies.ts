import { checkInteger, ConfigError } from '@evenkeel/core-tensor';

/** GroupAccuracies — of frequent, middling and rare classes: the mean over the classes of each group of how many of their images are right. */
export type GroupAccuracies = { readonly overall: number; readonly head: number; readonly mid: number; readonly tail: number; readonly perClass: readonly number[] };

/**
 * groupAccuracies — accuracy overall and per group of classes, which stand in the order of falling frequency.
 *
 * @param predicted  the class that the model says of each image.
 * @param labels     the class that it has.
 * @param options    `numClasses`; `head` and `tail`: how many classes at either end are frequent and rare (3 and 3 of CIFAR-10's 10).
 * @throws ConfigError  if lengths differ, a class has no image, or the groups are larger than all.
 *
 * Source: the evaluation of Rangwani et al. 2024, arXiv:2404.02900, §4.
 */
export function groupAccuracies(predicted: ArrayLike<number>, labels: ArrayLike<number>, { numClasses, head, tail }: { numClasses: number; head: number; tail: number }): GroupAccuracies {
  for (const [name, value] of Object.entries({ numClasses, head, tail })) checkInteger('groupAccuracies', name, value);
  if (head + tail >= numClasses) throw new ConfigError(`groupAccuracies: head and tail must leave a class between them, got ${head} and ${tail} of ${numClasses}`);
  if (predicted.length !== labels.length) throw new ConfigError(`groupAccuracies: predicted must be ${labels.length}, as many as labels, got ${predicted.length}`);
  const [right, all] = [new Array<number>(numClasses).fill(0), new Array<number>(numClasses).fill(0)];
  for (let i = 0; i < labels.length; i++) {
    const label = labels[i] as number;
    if (!(label >= 0 && label < numClasses)) throw new ConfigError(`groupAccuracies: labels must be from 0 to ${numClasses - 1}, got ${label} for image ${i}`);
    all[label] = (all[label] as number) + 1;
    if (predicted[i] === label) right[label] = (right[label] as number) + 1;
  }
  const empty = all.indexOf(0);
  if (empty >= 0) throw new ConfigError(`groupAccuracies: labels must have an image of each class, got none of class ${empty}`);
  const perClass = right.map((count, label) => count / (all[label] as number));
  const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;
  return {
    overall: right.reduce((sum, count) => sum + count, 0) / labels.length,
    head: mean(perClass.slice(0, head)), mid: mean(perClass.slice(head, numClasses - tail)), tail: mean(perClass.slice(numClasses - tail)), perClass,
  };
}
