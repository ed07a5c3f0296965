import { expectNoWorseThan } from '@evenkeel/testing';
import { describe, expect, it } from 'vitest';

describe('expectNoWorseThan', () => {
  it('expectNoWorseThan(fused, composed, oracle) allows twice the error plus the floor', async () => {
    await expectNoWorseThan([1.02], [1.01], [1], { floor: 1e-9 });
    await expectNoWorseThan([1.001], [1], [1], { floor: 2e-3 });
    await expect(expectNoWorseThan([1.03], [1.01], [1], { floor: 1e-9 })).rejects.toThrow('fused 1.03, oracle 1');
    await expectNoWorseThan([1.03], [1.01], [1], { floor: 1e-9, factor: 4 });
  });

  it('expectNoWorseThan(NaN) fails, also when the composed op is far off', async () => {
    await expect(expectNoWorseThan([NaN], [2], [1], { floor: 1 })).rejects.toThrow('fused NaN');
  });

  it('expectNoWorseThan(fused) with another number of values fails', async () => {
    await expect(expectNoWorseThan([1, 1], [1], [1], { floor: 1 })).rejects.toThrow('got 2 values, the oracle has 1');
  });
});
