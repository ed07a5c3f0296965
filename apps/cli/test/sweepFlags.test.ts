import { describe, expect, it } from 'vitest';
import { parseTechnique } from '../src/sweep/technique.ts';
import { readSweepFile } from '../src/sweep/sweepFile.ts';
import { planSweep, type SweepFlags } from '../src/sweep/sweepPlan.ts';
import { scratch } from './support/evenkeel.ts';

const files = scratch();

const DEFAULTS = {
  data: 'corpus.txt', tokenizer: 'char', depth: 4, dim: 128, numHeads: 4, context: 64, batchSize: 12, warmup: 100, schedule: 'cosine', clip: 1, dropout: 0, seed: 1,
  precision: 'f32', valFraction: 0.1,
} as const;
const flags = (given: Partial<SweepFlags> = {}): SweepFlags => ({ ...DEFAULTS, ...given, given: new Set(Object.keys(given)) });

describe('parseTechnique', () => {
  it('parseTechnique(name: flags) gives the values of the flags that are there, and none of the others', () => {
    expect(parseTechnique('qk-norm and more:  --qk-norm  --z-loss 1e-4 --sigma-reparam --learning-rates 0.1,0.01')).toEqual({
      name: 'qk-norm and more', says: '--qk-norm --z-loss 1e-4 --sigma-reparam --learning-rates 0.1,0.01',
      flags: { qkNorm: true, zLoss: 1e-4, sigmaReparam: 'one', learningRates: [0.01, 0.1] },
    });
    expect(parseTechnique('plain:')).toEqual({ name: 'plain', says: '', flags: {} });
  });

  it.each([
    ['--qk-norm', '--vary must be a name, a colon and flags, such as "qk-norm: --qk-norm", got "--qk-norm"'],
    ['', 'got an empty text'],
    [': --qk-norm', '--vary must be a name, a colon and flags'],
    ['a: --qk-nrm', "--vary \"a\": unknown option '--qk-nrm' (Did you mean --qk-norm?)"],
    ['a: --placement top', '--vary "a": --placement must be one of pre, post, peri, output, lns, deepnorm, none, got top'],
    ['a: --z-loss', "--vary \"a\": option '--z-loss <x>' argument missing"],
    ['a: --dim 64', "--vary \"a\": unknown option '--dim'"],
    ['a: --help', "--vary \"a\": unknown option '--help'"],
  ])('parseTechnique(%j) is refused', (text, message) => {
    expect(() => parseTechnique(text)).toThrow(message);
  });
});

describe('readSweepFile', () => {
  const read = async (content: unknown) => readSweepFile(files.write('sweep.json', JSON.stringify(content)));

  it('readSweepFile gives flags by name', async () => {
    expect(await read({ steps: 100, learningRates: [0.1, 0.01], dims: [32], untiedHead: false, monitor: true, data: 'a b.txt', vary: { a: { qkNorm: true }, b: {} } })).toEqual({
      steps: 100, learningRates: [0.01, 0.1], dims: [32], monitor: 10, data: 'a b.txt',
      vary: [{ name: 'a', says: '--qk-norm', flags: { qkNorm: true } }, { name: 'b', says: '', flags: {} }],
    });
  });

  it.each([
    [[], /sweep\.json must hold one JSON object, got a list/],
    [{ stepz: 1 }, /sweep\.json must have keys among .*steps.*, got stepz/],
    [{ resume: true }, /got resume/],
    [{ steps: 1.5 }, /sweep\.json: steps must be a whole number ≥ 1 .*got 1\.5/],
    [{ steps: true }, /sweep\.json: steps must be a number, a text or a list of numbers, got true/],
    [{ learningRates: [0.1, 'x'] }, /learningRates must be numbers with commas between > 0, got x/],
    [{ learningRates: [0.1, 0.1] }, /learningRates must be numbers that differ, got 0\.1 twice/],
    [{ qkNorm: 1 }, /sweep\.json: qkNorm must be true or false, got 1/],
    [{ data: { path: 'x' } }, /sweep\.json: data must be a number, a text or a list of numbers, got \{"path":"x"\}/],
    [{ vary: ['a'] }, /sweep\.json: vary must be an object with the flags of each technique by its name, got \["a"\]/],
    [{ vary: { a: '--qk-norm' } }, /sweep\.json: vary\.a must be an object of flags, got "--qk-norm"/],
    [{ vary: { a: { dim: 8 } } }, /sweep\.json: vary\.a must have keys among placement, .*learningRates, got dim/],
    [{ vary: { a: { zLoss: -1 } } }, /sweep\.json: vary\.a: zLoss must be a number ≥ 0, got -1/],
  ])('readSweepFile(%j) names the key that is wrong', async (content, message) => {
    await expect(read(content)).rejects.toThrow(message);
  });
});

describe('planSweep', () => {
  it('planSweep() goes through sizes, techniques and learning rates, with 200 steps and about 50 readings', () => {
    const { runs } = planSweep(flags({ learningRates: [1e-3, 1e-2], vary: [parseTechnique('plain:'), parseTechnique('QK norm!: --qk-norm')], dims: [32, 64] }));
    expect(runs.map(({ id }) => id)).toEqual(['plain-dim32-depth4-lr0.001', 'plain-dim32-depth4-lr0.01', 'qk-norm-dim32-depth4-lr0.001', 'qk-norm-dim32-depth4-lr0.01',
      'plain-dim64-depth4-lr0.001', 'plain-dim64-depth4-lr0.01', 'qk-norm-dim64-depth4-lr0.001', 'qk-norm-dim64-depth4-lr0.01']);
    expect(runs[3]?.settings).toMatchObject({ qkNorm: true, dim: 32, learningRate: 1e-2, steps: 200, warmup: 100, monitor: 4, evalEvery: 200, checkpointEvery: 40 });
    expect(runs[0].settings).toMatchObject({ qkNorm: false, placement: 'pre', optimizer: 'adamw' });
  });

  it('planSweep() without lists is the paper\'s seven learning rates of one model, named by its techniques', () => {
    const { runs, techniques } = planSweep(flags({ placement: 'peri' }));
    expect(runs.map(({ settings }) => settings.learningRate)).toEqual([3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1]);
    expect(techniques).toEqual([{ name: '--placement peri', says: '' }]);
  });

  it('planSweep({ vary }) lets a technique have learning rates of its own, and a decay that goes with it', () => {
    const { runs } = planSweep(flags({ learningRates: [1e-3], vary: [parseTechnique('sgd: --optimizer sgd --learning-rates 1,2'), parseTechnique('free: --weight-decay-mode independent')] }));
    expect(runs.map(({ settings: { learningRate, weightDecay, optimizer } }) => [learningRate, weightDecay, optimizer])).toEqual([[1, 1e-4, 'sgd'], [2, 1e-4, 'sgd'], [1e-3, 1e-4, 'adamw']]);
  });

  it.each([
    [{ valFraction: 0 }, '--val-fraction must be > 0 in a sweep, which compares validation losses, got 0'],
    [{ dim: 64, dims: [32] }, '--dim must be left out with --dims, got 64'],
    [{ depth: 2, depths: [1, 2] }, '--depth must be left out with --depths, got 2'],
    [{ dims: [32, 33] }, '--dim must be divisible by --num-heads, got 33 and 4'],
    [{ vary: [parseTechnique('a b:'), parseTechnique('A-B: --qk-norm')] }, '--vary must have names that differ in letters or digits, got "A-B" after "a b"'],
  ] as [Partial<SweepFlags>, string][])('planSweep(%j) is refused', (given, message) => {
    expect(() => planSweep(flags(given))).toThrow(message);
  });
});
