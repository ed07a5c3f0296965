/** tfjs as it comes, without us: every repair of ours must still be needed. If one of these fails, tfjs was fixed and ours can go. */
import * as tf from '@tensorflow/tfjs';
import { describe, expect, it } from 'vitest';
import { derivativeError, REPAIRED } from './repaired.ts';

describe('tfjs alone', () => {
  it.each(REPAIRED)('$name of order $order throws or is wrong', (each) => {
    let error: number;
    try {
      error = derivativeError(each, tf.grad);
    } catch (cause) {
      expect(cause).toBeInstanceOf(Error);
      return;
    }
    expect(error).toBeGreaterThan(0.05);
  });

  it('gets an operation right that we do not claim to repair, by the same measure', () => {
    expect(derivativeError({ name: 'sin', f: tf.sin, x: () => tf.tensor([0.3, -1, 2]), order: 2 }, tf.grad)).toBeLessThan(1e-2);
  });
});
