import { expect, it } from 'vitest';
import { round, spreadOf } from '../src/statistics.ts';

it('spreadOf([1 … 11]) interpolates median, p10 and p90 whatever the order', () => {
  expect(spreadOf([11, 2, 3, 1, 5, 4, 6, 10, 8, 9, 7])).toEqual({ median: 6, p10: 2, p90: 10 });
  expect(spreadOf([1, 2])).toEqual({ median: 1.5, p10: 1.1, p90: 1.9 });
});

it('spreadOf([x]) is x throughout, and spreadOf([]) is 0', () => {
  expect(spreadOf([5])).toEqual({ median: 5, p10: 5, p90: 5 });
  expect(spreadOf([])).toEqual({ median: 0, p10: 0, p90: 0 });
});

it('round(x, digits) drops what is behind', () => {
  expect(round(1.23456, 2)).toBe(1.23);
});
