import { add, engine, memory, scalar, tidy } from '@tensorflow/tfjs-core';
import { expectNoLeak } from '@evenkeel/testing';
import { describe, expect, it } from 'vitest';

describe('expectNoLeak', () => {
  it('expectNoLeak(fn) accepts a result, a tree of results and none, and frees them', async () => {
    const before = memory().numTensors;
    await expectNoLeak(() => scalar(1));
    await expectNoLeak(() => ({ a: scalar(1), b: [scalar(2), { c: scalar(3) }] }));
    await expectNoLeak(() => tidy(() => void add(1, 2)));
    await expectNoLeak(async () => scalar(1));
    expect(memory().numTensors).toBe(before);
  });

  it('expectNoLeak(fn) fails when an intermediate tensor stays alive', async () => {
    await expect(expectNoLeak(() => add(scalar(1), 2))).rejects.toThrow('must grow by 1 (the tensors returned), grew by ');
  });

  it('expectNoLeak(fn) fails when an argument is returned as the result', async () => {
    const x = scalar(1);
    await expect(expectNoLeak(() => x)).rejects.toThrow('must grow by 1 (the tensors returned), grew by 0');
  });

  it('expectNoLeak(fn) fails when a backend keeps a buffer that no tensor owns', async () => {
    const x = scalar(1);
    const leaky = () => {
      engine().backend.write(new Float32Array(1), [1], 'float32');
      return add(x, x);
    };
    await expect(expectNoLeak(leaky)).rejects.toThrow('hold 1 more buffers than before');
  });

  it('expectNoLeak(fn) checks the count also when fn throws, and passes the error on', async () => {
    const clean = () => tidy(() => {
      scalar(1);
      throw new RangeError('x must be small');
    });
    const leaky = () => {
      scalar(1);
      throw new RangeError('x must be small');
    };
    await expect(expectNoLeak(clean)).rejects.toThrow(RangeError);
    await expectNoLeak(clean, { throws: /must be small/ });
    await expect(expectNoLeak(clean, { throws: 'large' })).rejects.toThrow('must throw large, threw "x must be small"');
    await expect(expectNoLeak(leaky, { throws: /small/ })).rejects.toThrow('it threw), grew by 1');
    await expect(expectNoLeak(() => undefined, { throws: /small/ })).rejects.toThrow('returned normally');
  });
});
