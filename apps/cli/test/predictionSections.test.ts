import { expect, it } from 'vitest';
import { judged } from '../src/classified.ts';
import { confusionSection } from '../src/predictionSections.ts';

const found = (predicted: number[], labels: number[], numClasses: number) => judged({
  numClasses, predicted: Int32Array.from(predicted), confidence: new Float32Array(predicted.length).fill(1), probabilities: new Float32Array(predicted.length * numClasses).fill(1 / numClasses),
}, labels);

it('confusionSection(judged, classes) sorts classes by their numbers, and leaves out how long names all begin', () => {
  const [{ matrix, note }] = confusionSection(found([0, 1, 1], [0, 1, 2], 3), ['a_class_called_1', 'a_class_called_10', 'a_class_called_2']) as [ReturnType<typeof confusionSection>[number]];
  expect(matrix).toEqual({ classes: ['1', '2', '10'], counts: [[1, 0, 0], [0, 0, 1], [0, 0, 1]] });
  expect(note).toContain('The names stand without “a_class_called_”');
});

it('confusionSection(judged, classes) leaves short names whole', () => {
  const [{ matrix, note }] = confusionSection(found([0, 1], [0, 1], 2), ['B-LOC', 'B-PER']) as [ReturnType<typeof confusionSection>[number]];
  expect(matrix?.classes).toEqual(['B-LOC', 'B-PER']);
  expect(note).not.toContain('without');
});
