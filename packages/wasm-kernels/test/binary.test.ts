import { add, engine, maximum, tensor, type Tensor } from '@tensorflow/tfjs-core';
import { expectClose, expectNoLeak, randomTensor } from '@evenkeel/testing';
import { expect, it } from 'vitest';
import { describeVariants } from './variants.ts';

describeVariants(() => {
  it('add of int32 tensors stays int32', async () => {
    const sum = add(tensor([1, 2], [2], 'int32'), tensor([2_000_000_000, 3], [2], 'int32'));
    expect(sum.dtype).toBe('int32');
    await expectClose(sum, [2_000_000_001, 5]);
  });

  it('add of shapes that do not fit leaves nothing behind, nor does an op of the CPU backend', async () => {
    const [a, b, wrong] = [randomTensor([4, 3]), randomTensor([3]), randomTensor([5])];
    await expectNoLeak(() => engine().runKernel('Add', { a, b: wrong }) as Tensor, { throws: /broadcast/ });
    await expectNoLeak(() => maximum(a, b));
  });
});
