import { mul, sub, tensor, tidy, type Tensor, type TensorContainer, type Variable } from '@tensorflow/tfjs-core';
import { param, treeMap, type GradientTransform, type Tree } from '@evenkeel/core-tensor';
import { adamw, chain, clipByGlobalNorm, cosine, sgd } from '@evenkeel/optimizers';
import { expectClose, forEachBackend } from '@evenkeel/testing';
import { describe, expect, it } from 'vitest';
import golden from './golden/optimizers.json' with { type: 'json' };
import { free, step } from './helpers.ts';

type Values = { [name: string]: number[] };
const { shapes, start, target, curvature } = golden as unknown as { shapes: Values; start: Values; target: Values; curvature: Values };
const trajectories = golden.trajectories as unknown as Record<string, Record<string, Values>>;
const mask = { weight: true, bias: false, gain: false };
const learningRateScales = { weight: 0.25, bias: 2, gain: 1 };
const falling = cosine({ peak: 0.05, steps: 20, warmup: 4, floor: 0.005 });

/** The cases of tools/golden/optimizers.py, by name. */
const optimizers: Record<string, GradientTransform> = {
  adamw: adamw({ learningRate: 0.05 }),
  'adamw betas eps decay mask': adamw({ learningRate: 0.02, beta1: 0.8, beta2: 0.95, eps: 1e-3, weightDecay: 0.3, mask }),
  'adamw clip cosine': chain(
    clipByGlobalNorm(4), adamw({ learningRate: falling, beta2: 0.95, weightDecay: 0.1, mask })),
  sgd: sgd({ learningRate: 0.1 }),
  'sgd momentum': sgd({ learningRate: 0.05, momentum: 0.9 }),
  'sgd momentum decay': sgd({ learningRate: 0.05, momentum: 0.9, weightDecay: 0.2 }),
  'sgd nesterov decay mask': sgd({ learningRate: 0.03, momentum: 0.8, nesterov: true, weightDecay: 0.2, mask }),
  'sgd momentum clip': chain(clipByGlobalNorm(4), sgd({ learningRate: 0.05, momentum: 0.9 })),
  // PyTorch gets the decay over the peak: what the learning rate multiplies is then a share of the schedule alone.
  'adamw independent decay': adamw({ learningRate: falling, beta2: 0.95, weightDecay: 0.01, weightDecayMode: 'independent', mask }),
  'adamw scales': adamw({ learningRate: falling, beta2: 0.95, weightDecay: 0.1, learningRateScales }),
  'sgd momentum decay scales': sgd({ learningRate: 0.05, momentum: 0.9, weightDecay: 0.2, mask, learningRateScales }),
};

const leaf = (values: Values, name: string): Tensor => tensor(values[name] as number[], shapes[name] as number[], 'float32');

const gradsAt = (params: Tree<Variable>): Tree<Tensor> => tidy(() =>
  treeMap<Variable, Tensor>((p, name) => mul(leaf(curvature, name), sub(p, leaf(target, name))), params) as TensorContainer) as Tree<Tensor>;

forEachBackend(() => {
  describe.each(Object.entries(optimizers))('%s', (name, optimizer) => {
    it(`update(grads, state, params) follows PyTorch for ${golden.steps} steps`, async () => {
      const params: Tree<Variable> = Object.fromEntries(Object.keys(shapes).map((key) => [key, param(() => leaf(start, key))]));
      const state = optimizer.init(params);
      const trajectory = trajectories[name] ?? {};
      let compared = 0;
      for (let i = 1; i <= golden.steps; i++) {
        const grads = gradsAt(params);
        step(optimizer, grads, state, params);
        free(grads);
        for (const [key, values] of Object.entries(trajectory[String(i)] ?? {})) {
          // 20 steps of float32 roundings on numbers around 1; a wrong bias correction or decay is off by 1e-3 and more.
          await expectClose((params as Record<string, Variable>)[key]!, leafValues(values, key), { rtol: 2e-5, atol: 4e-6 });
          compared++;
        }
      }
      expect(compared).toBe(12);
      free(params, state);
    });
  });
});

/** Nested as the parameter is, so that shapes are compared too. */
function leafValues(values: number[], key: string): number[] | number[][] {
  const [rows, columns] = shapes[key] as [number, number?];
  return columns === undefined ? values : Array.from({ length: rows }, (_, r) => values.slice(r * columns, (r + 1) * columns));
}
