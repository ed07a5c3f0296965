import { ConfigError, param, valueAndGrad, type Params } from '@evenkeel/core-tensor';
import { applyUpdates, clipByGlobalNorm, chain, lossScaling, sgd } from '@evenkeel/optimizers';
import { expectNoLeak, forEachBackend } from '@evenkeel/testing';
import { dispose, mul, sum, tensor1d, tidy, type Tensor } from '@tensorflow/tfjs-core';
import { describe, expect, it } from 'vitest';

const makeParams = (): Params => ({ w: param(() => tensor1d([1, -2, 3])) }) as unknown as Params;

forEachBackend(() => {
  it('lossScaling(inner) updates as inner does without it, bit for bit', async () => {
    const inner = () => chain(clipByGlobalNorm(1.5), sgd({ learningRate: 0.1, momentum: 0.9 }));
    const results: number[][] = [];
    for (const isScaled of [false, true]) {
      const params = makeParams();
      const optimizer = isScaled ? lossScaling(inner()) : undefined;
      const plain = inner();
      const state = (optimizer ?? plain).init(params) as never;
      for (let i = 0; i < 5; i++) tidy(() => {
        const { grads } = valueAndGrad((p) => {
          const loss = sum(mul((p as unknown as { w: Tensor }).w, (p as unknown as { w: Tensor }).w)) as Tensor;
          return optimizer === undefined ? loss : optimizer.scaleLoss(loss, state);
        }, params);
        applyUpdates(params, (optimizer ?? plain).update(grads, state, params));
      });
      results.push([...await (params as unknown as { w: Tensor }).w.data()]);
      dispose([params, state] as never);
    }
    expect(results[1]).toEqual(results[0]);
    expect(results[0]).not.toEqual([1, -2, 3]);
  });

  it('lossScaling(inner).update leaves nothing behind', async () => {
    const params = makeParams();
    const optimizer = lossScaling(sgd({ learningRate: 0.1 }) as never);
    const state = optimizer.init(params);
    const grads = { w: tensor1d([1, 2, 3]) };
    await expectNoLeak(() => optimizer.update(grads, state, params) as never);
    dispose([params, state, grads] as never);
  });
});

describe('lossScaling(inner).adjust', () => {
  const optimizer = lossScaling(sgd({ learningRate: 0.1 }) as never, { initial: 8, growthEvery: 3 });

  it('halves at an overflow, doubles after growthEvery steps without, and gives up at 1', () => {
    const state = optimizer.init({} as never);
    const seen = [false, true, true, true, true, true, false, false, false, false].map((isFinite) => [optimizer.adjust(state, isFinite), state.scale]);
    expect(seen).toEqual([[true, 4], [true, 4], [true, 4], [true, 8], [true, 8], [true, 8], [true, 4], [true, 2], [true, 1], [false, 1]]);
  });

  it('refuses options out of range', () => {
    expect(() => lossScaling(sgd({ learningRate: 1 }) as never, { initial: 0 })).toThrow(ConfigError);
    expect(() => lossScaling(sgd({ learningRate: 1 }) as never, { growthEvery: 0.5 })).toThrow('lossScaling: growthEvery must be');
  });
});
