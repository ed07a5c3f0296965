import { resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { flagOf } from '../src/flags.ts';
import { newGptSettings, type TrainGptFlags } from '../src/gpt/gptSettings.ts';
import { resumedSettings } from '../src/runSettings.ts';
import { PLAIN } from '../src/techniques.ts';

const DEFAULTS = {
  data: 'corpus.txt', tokenizer: 'char', depth: 4, dim: 128, numHeads: 4, context: 64, batchSize: 12, learningRate: 1e-3,
  warmup: 100, schedule: 'cosine', clip: 1, dropout: 0, seed: 1, precision: 'f32', valFraction: 0.1,
} as const;

/** Flags as the parser gives them: `given` ones over the defaults. */
const flags = (given: Partial<TrainGptFlags> = {}): TrainGptFlags => ({ ...DEFAULTS, ...given, given: new Set(Object.keys(given)) });

describe('newGptSettings', () => {
  it("newGptSettings() fills in nanoGPT's run: 2000 steps, evaluation and checkpoint every 200", () => {
    expect(newGptSettings(flags())).toEqual({
      ...DEFAULTS, ...PLAIN, weightDecay: 0.1, monitor: 0, data: resolve('corpus.txt'), vocabSize: null, steps: 2000, evalEvery: 200, checkpointEvery: 200,
    });
  });

  it('newGptSettings() without data is a shorter run on the default corpus', () => {
    const { data, steps } = newGptSettings(flags({ data: undefined }));
    expect(data).toBeNull();
    expect(steps).toBeLessThan(2000);
  });

  it('newGptSettings({ evalEvery }) checkpoints as often, and never less than every 250 steps by default', () => {
    expect(newGptSettings(flags({ evalEvery: 7 })).checkpointEvery).toBe(7);
    expect(newGptSettings(flags({ steps: 100_000 })).evalEvery).toBe(250);
    expect(newGptSettings(flags({ steps: 3 })).evalEvery).toBe(1);
  });

  it('newGptSettings({ steps: 30 }) shortens the default warm-up, but refuses one that was asked for and does not fit', () => {
    expect(newGptSettings(flags({ steps: 30 })).warmup).toBe(3);
    expect(() => newGptSettings(flags({ steps: 30, warmup: 30 }))).toThrow('--warmup must be ≤ 29 with --schedule cosine and --steps 30, got 30');
    expect(newGptSettings(flags({ steps: 30, warmup: 30, schedule: 'constant' })).warmup).toBe(30);
    expect(() => newGptSettings(flags({ steps: 30, warmup: 25, schedule: 'wsd' }))).toThrow('--warmup must be ≤ 24');
  });

  it('newGptSettings({ tokenizer: bpe }) has a vocabulary size; with another tokenizer the flag is refused', () => {
    expect(newGptSettings(flags({ tokenizer: 'bpe' })).vocabSize).toBe(1024);
    expect(newGptSettings(flags({ tokenizer: 'bpe', vocabSize: 300 })).vocabSize).toBe(300);
    expect(() => newGptSettings(flags({ vocabSize: 300 }))).toThrow('--vocab-size must be left out with --tokenizer char, got 300');
  });

  it('newGptSettings({ dim: 130 }) refuses heads that do not divide it', () => {
    expect(() => newGptSettings(flags({ dim: 130 }))).toThrow('--dim must be divisible by --num-heads, got 130 and 4');
  });
});

describe('newGptSettings with techniques', () => {
  it('newGptSettings({ placement, qkNorm, … }) keeps what was given beside the plain rest', () => {
    const techniques = { placement: 'peri', norm: 'rms', qkNorm: true, sigmaReparam: 'spectral', zLoss: 1e-4, untiedHead: true } as const;
    expect(newGptSettings(flags({ ...techniques, monitor: 5 }))).toMatchObject({ ...PLAIN, ...techniques, monitor: 5 });
  });

  it('newGptSettings({ optimizer, weightDecayMode }) has a learning rate and a decay that go with them, unless they are given', () => {
    const { learningRate: _, ...rest } = DEFAULTS;
    const settings = (given: Partial<TrainGptFlags>) => newGptSettings({ ...rest, ...given, given: new Set(Object.keys(given)) });
    expect(settings({})).toMatchObject({ learningRate: 1e-3, weightDecay: 0.1 });
    expect(settings({ weightDecayMode: 'independent' })).toMatchObject({ learningRate: 1e-3, weightDecay: 1e-4 });
    expect(settings({ optimizer: 'lion' })).toMatchObject({ learningRate: 5e-4, weightDecay: 0.2 });
    expect(settings({ optimizer: 'sgd', learningRate: 2, weightDecay: 3 })).toMatchObject({ learningRate: 2, weightDecay: 3 });
    expect(() => settings({ optimizer: 'lion', weightDecayMode: 'independent' })).toThrow('--weight-decay-mode independent must be used with --optimizer adamw, got lion');
  });
});

describe('resumedSettings', () => {
  const saved = newGptSettings(flags({ seed: 7, learningRate: 3e-4 }));

  it('resumedSettings() without flags are those of the run', () => {
    expect(resumedSettings(saved, flags())).toEqual(saved);
  });

  it('resumedSettings() accepts flags that say what the run has', () => {
    expect(resumedSettings(saved, flags({ seed: 7, data: 'corpus.txt' }))).toEqual(saved);
  });

  it('resumedSettings() names every flag that differs, with both values', () => {
    expect(() => resumedSettings(saved, flags({ seed: 8, numHeads: 2 }))).toThrow(
      '--resume must keep what decides the run, got --num-heads 2 (the run has 4), --seed 8 (the run has 7).');
    expect(() => resumedSettings(saved, flags({ data: 'other.txt' }))).toThrow('--data');
  });

  it('resumedSettings() refuses techniques that the run does not have', () => {
    expect(() => resumedSettings(saved, flags({ qkNorm: true, placement: 'post' }))).toThrow(
      '--resume must keep what decides the run, got --placement post (the run has pre), --qk-norm true (the run has false).');
    expect(resumedSettings({ ...saved, qkNorm: true }, flags({ qkNorm: true })).qkNorm).toBe(true);
  });

  it('resumedSettings() lets evaluations, checkpoints and readings be moved', () => {
    expect(resumedSettings(saved, flags({ evalEvery: 5, checkpointEvery: 9, monitor: 3 }))).toEqual({ ...saved, evalEvery: 5, checkpointEvery: 9, monitor: 3 });
  });

  it('resumedSettings({ steps }) prolongs a constant schedule only', () => {
    expect(() => resumedSettings(saved, flags({ steps: 4000 }))).toThrow('--steps 4000 (the run has 2000). A cosine schedule depends on the number of steps.');
    const constant = newGptSettings(flags({ schedule: 'constant' }));
    expect(resumedSettings(constant, flags({ steps: 4000 })).steps).toBe(4000);
  });
});

it('flagOf(name) is the name on the command line', () => {
  expect(['seed', 'numHeads', 'checkpointEvery'].map(flagOf)).toEqual(['--seed', '--num-heads', '--checkpoint-every']);
});
