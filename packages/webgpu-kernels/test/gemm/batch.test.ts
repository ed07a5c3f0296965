import { describe, expect, it } from 'vitest';
import { batchAxes } from '../../src/gemm/batch.ts';

describe('batchAxes(a, b)', () => {
  it('takes axes that go together as one, with stride 0 where an operand repeats', () => {
    expect(batchAxes([], [])).toEqual({ sizes: [1, 1, 1, 1], a: [0, 0, 0, 0], b: [0, 0, 0, 0] });
    expect(batchAxes([2, 3, 4], [2, 3, 4])).toEqual({ sizes: [1, 1, 1, 24], a: [0, 0, 0, 1], b: [0, 0, 0, 1] });
    expect(batchAxes([2, 3], [])).toEqual({ sizes: [1, 1, 1, 6], a: [0, 0, 0, 1], b: [0, 0, 0, 0] });
    expect(batchAxes([2, 1], [1, 3])).toEqual({ sizes: [1, 1, 2, 3], a: [0, 0, 1, 0], b: [0, 0, 0, 1] });
    expect(batchAxes([5, 1, 4], [2, 4])).toEqual({ sizes: [1, 5, 2, 4], a: [0, 4, 0, 1], b: [0, 0, 4, 1] });
    expect(batchAxes([2, 1, 4, 1], [1, 3, 1, 5])).toEqual({ sizes: [2, 3, 4, 5], a: [4, 0, 1, 0], b: [0, 5, 0, 1] });
  });
});
