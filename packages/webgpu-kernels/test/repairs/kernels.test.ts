import { valueAndGrad } from '@evenkeel/core-tensor';
import { expectClose, expectNoLeak, forEachBackend, randomArray, randomTensor } from '@evenkeel/testing';
import { dispose, mul, pad, slice, sum, tensor, tidy, tile, where } from '@tensorflow/tfjs-core';
import { expect, it } from 'vitest';

const SHAPE: [number, number, number, number, number] = [2, 3, 1, 2, 5];
const values = randomArray(60, { seed: 1 });

/** Row-major positions of a shape. */
function positions(shape: readonly number[]): number[][] {
  return shape.reduce<number[][]>((found, size) => found.flatMap((place) => Array.from({ length: size }, (_, i) => [...place, i])), [[]]);
}

const at = (place: readonly number[]): number => values[place.reduce((index, i, axis) => index * SHAPE[axis]! + i, 0)]!;

/** The values as the result of an operation: on the GPU alone, where stock tile could not read them. */
const computed = () => tidy(() => mul(tensor(values, SHAPE), 1));

forEachBackend(['evenkeel-webgpu'], () => {
  it.each([[[1, 1, 3, 1, 1]], [[2, 1, 1, 3, 2]], [[1, 1, 1, 1, 1]]])('tile(x, %s) of rank 5 repeats each axis, and leaks nothing', async (reps) => {
    const x = computed();
    await expectNoLeak(() => tile(x, reps));
    const y = tile(x, reps);
    expect(y.shape).toEqual(SHAPE.map((size, axis) => size * reps[axis]!));
    await expectClose(y, Float64Array.from(positions(y.shape), (place) => at(place.map((i, axis) => i % SHAPE[axis]!))));
    dispose([x, y]);
  });

  it('pad(x, paddings, 7) of rank 5 puts 7 around, and leaks nothing', async () => {
    const paddings: [number, number][] = [[0, 0], [1, 0], [0, 2], [0, 0], [2, 1]];
    const x = computed();
    await expectNoLeak(() => pad(x, paddings, 7));
    const y = pad(x, paddings, 7);
    await expectClose(y, Float64Array.from(positions(y.shape), (place) => {
      const source = place.map((i, axis) => i - paddings[axis]![0]);
      return source.every((i, axis) => i >= 0 && i < SHAPE[axis]!) ? at(source) : 7;
    }));
    dispose([x, y]);
  });

  it('where(condition, x, y) of rank 5 chooses element by element', async () => {
    const condition = tensor(Array.from(values, (value) => value > 0), SHAPE, 'bool');
    const [x, y] = [tensor(values, SHAPE), tensor(Array.from(values, (value) => 10 * value), SHAPE)];
    await expectNoLeak(() => where(condition, x, y));
    const chosen = where(condition, x, y);
    await expectClose(chosen, Float64Array.from(values, (value) => (value > 0 ? value : 10 * value)).map(Math.fround));
    dispose([condition, x, y, chosen]);
  });

  it('the gradient of slice(x) of rank 5, which pads, is 1 inside and 0 outside', async () => {
    const x = randomTensor(SHAPE as never);
    const { value, grads } = valueAndGrad((p) => sum(mul(slice(p.x, [0, 1, 0, 0, 2], [2, 1, 1, 2, 2]), 3)), { x });
    await expectClose(grads.x, Float64Array.from(positions(SHAPE), ([, b, , , e]) => (b === 1 && (e === 2 || e === 3) ? 3 : 0)));
    dispose([x, value, grads.x]);
  });
});
