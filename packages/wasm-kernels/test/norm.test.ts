import { add, div, engine, mean, mul, sqrt, square, sub, tensor, tidy, type Tensor } from '@tensorflow/tfjs-core';
import { expectClose, expectNoWorseThan, layerNorm64, randomArray, randomTensor } from '@evenkeel/testing';
import { describe, it } from 'vitest';
import { describeVariants } from './variants.ts';

const EPS = 1e-5;
const ROWS = 5;

/** (x − mean) / √(variance + eps) and, for a dy, its gradient, of tfjs ops. */
function composed(x: Tensor, dy: Tensor): { y: Tensor; dx: Tensor } {
  const centred = sub(x, mean(x, -1, true));
  const deviation = sqrt(add(mean(square(centred), -1, true), EPS));
  const y = div(centred, deviation);
  return { y, dx: div(sub(sub(dy, mean(dy, -1, true)), mul(y, mean(mul(dy, y), -1, true))), deviation) };
}

/** dx = (dy − mean(dy) − y · mean(dy · y)) / √(variance + eps) per row, in float64. */
function gradient64(x: Float32Array, dy: Float32Array, c: number): Float64Array {
  const y = layerNorm64(x, c, { eps: EPS });
  const dx = new Float64Array(x.length);
  for (let start = 0; start < x.length; start += c) {
    const meanOf = (f: (at: number) => number): number => {
      let sum = 0;
      for (let at = start; at < start + c; at++) sum += f(at);
      return sum / c;
    };
    const centre = meanOf((at) => x[at]!);
    const deviation = Math.sqrt(meanOf((at) => (x[at]! - centre) ** 2) + EPS);
    const [meanDy, meanProduct] = [meanOf((at) => dy[at]!), meanOf((at) => dy[at]! * y[at]!)];
    for (let at = start; at < start + c; at++) dx[at] = (dy[at]! - meanDy - y[at]! * meanProduct) / deviation;
  }
  return dx;
}

describeVariants(() => {
  describe.each([[768, 100], [4096, 1000], [1027, 30]])('with %i channels about %i', (channels, offset) => {
    it('layerNorm and its gradient are as accurate as the composed ops', async () => {
      for (const seed of [1, 2, 3]) {
        const x = randomArray(ROWS * channels, { seed }).map((value) => value + offset);
        const dy = randomArray(ROWS * channels, { seed: seed + 10 }).map((value) => value + offset);
        const [xs, dys] = [tensor(x, [ROWS, channels]), tensor(dy, [ROWS, channels])];
        const theirs = tidy(() => composed(xs, dys));
        const y = engine().runKernel('evenkeel/layerNorm', { x: xs }, { eps: EPS }) as Tensor;
        const [dx] = engine().runKernel('evenkeel/layerNormGrad', { x: xs, dy: dys }, { eps: EPS }) as unknown as [Tensor];
        // Values of y and dx reach 4: a few units in their last place are always allowed.
        await expectNoWorseThan(y, theirs.y, layerNorm64(x, channels, { eps: EPS }), { floor: 1e-6 });
        await expectNoWorseThan(dx, theirs.dx, gradient64(x, dy, channels), { floor: 1e-6 });
      }
    });
  });
}, [{ threads: 1, simd: 'relaxed' }, { threads: 2, simd: 'plain' }]);

const run = (name: string, inputs: Record<string, Tensor>): Tensor[] => [engine().runKernel(`evenkeel/${name}`, inputs, { eps: EPS })].flat() as Tensor[];

describeVariants(() => {
  it.each([['layerNorm', 'addLayerNorm'], ['rmsNorm', 'addRmsNorm']] as const)('%s of a sum equals %s to the last bit, and so does its gradient', async (norm, addNorm) => {
    for (const shape of [[1, 1], [1, 3], [3, 65], [130, 7], [40, 1027], [0, 3], [3, 0]] as [number, number][]) {
      const [x, residual, dy, dsum] = [1, 2, 3, 4].map((seed) => randomTensor(shape, { seed })) as [Tensor, Tensor, Tensor, Tensor];
      const weight = randomTensor([shape[1]], { seed: 5 });
      const [y, sum] = run(addNorm, { x, residual, weight }) as [Tensor, Tensor];
      const [expectedY] = run(norm, { x: sum, weight }) as [Tensor];
      await expectClose(sum, add(x, residual), { rtol: 0, atol: 0 });
      await expectClose(y, expectedY, { rtol: 0, atol: 0 });
      const [dx, ...rest] = run(`${norm}Grad`, { x: sum, weight, dy, dsum }) as [Tensor, ...Tensor[]];
      const [plainDx, ...plainRest] = run(`${norm}Grad`, { x: sum, weight, dy }) as [Tensor, ...Tensor[]];
      await expectClose(dx, add(plainDx, dsum), { rtol: 0, atol: 0 });
      for (const [i, each] of rest.entries()) await expectClose(each, plainRest[i]!, { rtol: 0, atol: 0 });
    }
  });
});
