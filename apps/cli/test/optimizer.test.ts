import '@tensorflow/tfjs-backend-cpu';
import { dispose, fill, setBackend, tidy, type Tensor, type TensorContainer, type Variable } from '@tensorflow/tfjs-core';
import { beforeAll, describe, expect, it } from 'vitest';
import { treeEntries, treeMap, type Tree } from '@evenkeel/core-tensor';
import { DEFAULTS, EPS_OF_STEPS, optimizerFor, type OptimizerSettings } from '../src/optimizer.ts';
import { OPTIMIZERS } from '../src/techniqueNames.ts';
import { modelOf, trainedModelOf } from '../src/gpt/gptModel.ts';
import { PLAIN, techniquesInWords, type TechniqueSettings } from '../src/techniques.ts';

const SIZES = { vocabSize: 7, contextLength: 4, depth: 1, dim: 8, numHeads: 2 };
const SETTINGS: OptimizerSettings = { ...PLAIN, ...DEFAULTS.adamw, steps: 10, warmup: 0, schedule: 'constant', clip: 0 };

/** The first update of every parameter, by path, where all gradients are `gradient`. */
function firstUpdates(settings: Partial<OptimizerSettings>, gradient = 0.5): Map<string, Float32Array> {
  const model = modelOf(SIZES, PLAIN);
  const params = model.init({ seed: 1 });
  const { optimizer } = optimizerFor({ ...SETTINGS, ...settings }, model.specs);
  const state = optimizer.init(params);
  const updates = new Map<string, Float32Array>();
  tidy(() => {
    const grads = treeMap(({ shape }: Variable) => fill(shape, gradient) as Tensor, params as Tree<Variable>);
    for (const [path, update] of treeEntries<Tensor>(optimizer.update(grads, state, params as Tree<Variable>))) updates.set(path, update.dataSync<'float32'>());
  });
  dispose([params, state] as unknown as TensorContainer);
  return updates;
}

describe('optimizerFor', () => {
  beforeAll(async () => { await setBackend('cpu'); });

  it.each(OPTIMIZERS)('optimizerFor({ optimizer: %s }) moves every parameter against its gradient', (optimizer) => {
    const updates = firstUpdates({ optimizer, ...DEFAULTS[optimizer], weightDecay: 0 });
    const isHidden = (path: string): boolean => optimizer === 'muon' && /(qkv|proj|up|down)\.weight/.test(path); // orthogonal steps have both signs
    for (const [path, values] of updates) if (!isHidden(path)) expect(Math.max(...values), path).toBeLessThan(0);
    expect(updates.size).toBeGreaterThan(10);
  });

  it('optimizerFor({ mup }) makes the steps of maps smaller as they are wider than the base, and no others', () => {
    const [plain, scaled] = [firstUpdates({ weightDecay: 0 }), firstUpdates({ weightDecay: 0, mup: 2 })];
    for (const [path, values] of plain) {
      const factor = /(qkv|proj|up|down)\.weight/.test(path) ? 1 / 4 : 1;
      expect((scaled.get(path) as Float32Array)[0], path).toBeCloseTo(factor * (values[0] as number), 8);
    }
  });

  it('optimizerFor({ weightDecayMode: independent }) decays alike whatever the learning rate', () => {
    const decays = [1e-3, 1e-1].map((learningRate) => firstUpdates({ learningRate, weightDecay: 0.01, weightDecayMode: 'independent' }, 0).get('tokenEmbedding.weight') as Float32Array);
    expect(Math.max(...(decays[0] as Float32Array))).toBeGreaterThan(0);
    (decays[1] as Float32Array).forEach((value, i) => expect(value).toBeCloseTo((decays[0] as Float32Array)[i] as number, 9));
  });

  it('optimizerFor({ clip }) bounds the step of an optimizer that follows the size of its gradient', () => {
    const longest = (clip: number): number => Math.hypot(...[...firstUpdates({ optimizer: 'sgd', learningRate: 1, weightDecay: 0, clip }, 100).values()].flatMap((values) => [...values]));
    expect(longest(1)).toBeCloseTo(1, 4);
    expect(longest(0)).toBeGreaterThan(1000);
  });

  it('EPS_OF_STEPS says of AdamW at which gradient its steps are half of what they are else', () => {
    const step = (gradient: number): number => firstUpdates({ weightDecay: 0 }, gradient).get('blocks.0.attn.qkv.weight')![0] as number;
    expect(step(EPS_OF_STEPS.adamw as number) / step(1)).toBeCloseTo(0.5, 3);
  });
});

describe('techniques', () => {
  const words = (settings: Partial<TechniqueSettings>): string => techniquesInWords({ ...PLAIN, ...settings });

  it('techniquesInWords says as flags what departs from the plain model', () => {
    expect(words({})).toBe('');
    expect(words({ placement: 'peri', qkNorm: true, zLoss: 1e-4, optimizer: 'sgd-sai', mup: 64 })).toBe('--placement peri --qk-norm --z-loss 0.0001 --optimizer sgd-sai --mup 64');
  });

  it('trainedModelOf(plain) is GPT-2, and departs from it by what is asked for', () => {
    expect(trainedModelOf(SIZES, PLAIN).departures).toEqual([]);
    expect(trainedModelOf(SIZES, { ...PLAIN, placement: 'lns', norm: 'rms', qkNorm: true, sigmaReparam: 'one' }).departures.toSorted()).toEqual(['linear', 'norm', 'placement', 'qkNorm']);
    expect(trainedModelOf(SIZES, { ...PLAIN, untiedHead: true }).config.tiedHead).toBe(false);
    expect(modelOf(SIZES, { ...PLAIN, sigmaReparam: 'one' } as TechniqueSettings).departures).toEqual([]);
  });
});
