import { add, memory, mul, square, tensor } from '@tensorflow/tfjs-core';
import { checkGrad, checkOpGrad, forEachBackend, randomArray, randomTensor } from '@evenkeel/testing';
import { describe, expect, it } from 'vitest';

const cube = ({ x }: { x: Float64Array }) => x.reduce((sum, value) => sum + value ** 3, 0);

describe('checkGrad', () => {
  it('checkGrad accepts the right gradient at odd sizes', async () => {
    for (const size of [1, 3, 65, 130]) {
      const x = randomArray(size, { seed: size });
      await checkGrad({ loss64: cube, inputs: { x }, gradients: { x: x.map((value) => 3 * value ** 2) } });
    }
  });

  it('checkGrad names the worst coordinate of a wrong gradient', async () => {
    const x = randomArray(65);
    const wrong = x.map((value, i) => 3 * value ** 2 + (i === 41 ? 0.5 : 0));
    await expect(checkGrad({ loss64: cube, inputs: { x }, gradients: { x: wrong } }))
      .rejects.toThrow(/the gradient of x must give slope[^]*worst coordinate \[41\]/);
  });

  it('checkGrad notices a NaN, a missing gradient and one of the wrong size', async () => {
    const inputs = { x: randomArray(3) };
    await expect(checkGrad({ loss64: cube, inputs, gradients: { x: [NaN, 1, 1] } })).rejects.toThrow('gives NaN');
    await expect(checkGrad({ loss64: cube, inputs, gradients: { x: [1] } })).rejects.toThrow('must have 3 values, got 1');
    await expect(checkGrad({ loss64: cube, inputs, gradients: {} as { x: number[] } })).rejects.toThrow('gradients must have x');
  });

  it('checkGrad refuses an oracle that ignores an input, unless it is meant', async () => {
    const flat = { loss64: () => 1, inputs: { x: [1, 2] }, gradients: { x: [0, 0] } };
    await expect(checkGrad(flat)).rejects.toThrow('the oracle does not change with x');
    await checkGrad({ ...flat, flat: ['x'] });
  });
});

forEachBackend(['cpu'], () => {
  const oracle64 = ({ x, y }: Record<'x' | 'y', Float64Array>) => x.map((value, i) => value ** 2 + value * y[i]!);

  it('checkOpGrad accepts the right gradient in every input and frees what it made', async () => {
    const inputs = { x: randomTensor([5, 13]), y: randomTensor([5, 13], { seed: 2 }) };
    const before = memory().numTensors;
    await checkOpGrad({ op: ({ x, y }) => add(square(x), mul(x, y)), oracle64, inputs });
    const grown = memory().numTensors - before;
    expect(grown).toBeLessThanOrEqual(6); // the ops between the op's inputs and its loss, made outside a tidy by this test's op
  });

  it('checkOpGrad fails when one of two gradients is wrong', async () => {
    const inputs = { x: tensor([1, 2]), y: tensor([3, 4]) };
    await expect(checkOpGrad({ op: ({ x, y }) => add(square(x), mul(x, square(y))), oracle64, inputs })).rejects.toThrow('the gradient of');
  });
});
