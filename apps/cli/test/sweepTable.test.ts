import { describe, expect, it } from 'vitest';
import { kindsFound, lossName, meaningsFound, rateName } from '../src/sweep/names.ts';
import type { RunResult } from '../src/sweep/runResult.ts';
import { summarise } from '../src/sweep/summary.ts';
import type { SweepPlan } from '../src/sweep/sweepPlan.ts';
import { sweepTable } from '../src/sweep/sweepTable.ts';

const RATES = [3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1];

/** A plan of techniques at some widths, and the results of `lossOf`, which gives null for a run that diverged and undefined for one that is to come. */
function sweepOf(names: readonly string[], dims: readonly number[], lossOf: (name: string, dim: number, rate: number) => number | null | undefined, rates = RATES) {
  const runs = dims.flatMap((dim) => names.flatMap((technique) => rates.map((learningRate) => ({ id: `${technique}-${dim}-${learningRate}`, technique, settings: { dim, depth: 2, learningRate } }))));
  const plan = { techniques: names.map((name) => ({ name, says: '' })), runs } as unknown as SweepPlan;
  const results = runs.flatMap(({ id, technique, settings: { dim, depth, learningRate } }) => {
    const loss = lossOf(technique, dim, learningRate);
    return loss === undefined ? [] : [{ id, technique, dim, depth, learningRate, loss, initialLoss: 4, params: dim * 10 } as RunResult];
  });
  return summarise(plan, results);
}

describe('summarise', () => {
  it('summarise counts a loss above the one before training, and a run that diverged, as that one', () => {
    const [group] = sweepOf(['plain'], [8], (_, __, rate) => (rate === 0.1 ? 9 : rate === 1 ? null : 2), [0.01, 0.1, 1]).groups;
    expect(group).toMatchObject({ sensitivity: (2 + 4 + 4) / 3 - 2, diverged: 1, best: { learningRate: 0.01, loss: 2 }, params: 80, initialLoss: 4 });
  });

  it('summarise gives no sensitivity before the last run is finished, nor of one learning rate', () => {
    expect(sweepOf(['plain'], [8], (_, __, rate) => (rate === 1 ? undefined : 2), [0.1, 1]).groups[0]).toMatchObject({ sensitivity: null, runs: [{ learningRate: 0.1 }] });
    expect(sweepOf(['plain'], [8], () => 2, [0.1]).groups[0]?.sensitivity).toBeNull();
  });

  it('summarise of runs that all diverged has no best', () => {
    expect(sweepOf(['plain'], [8], () => null, [0.1, 1]).groups[0]).toMatchObject({ best: null, sensitivity: 0, diverged: 2 });
  });
});

describe('sweepTable', () => {
  it('sweepTable shows seven learning rates side by side, the lowest loss marked, in 80 columns', () => {
    const lines = sweepTable(sweepOf(['plain', 'qk-norm'], [32, 64], (name, _, rate) => (name === 'plain' && rate > 0.1 ? null : 2 + Math.abs(Math.log10(rate) + 2))));
    expect(lines.slice(0, 5)).toEqual([
      'Validation loss after the last step (nats) by learning rate',
      '',
      'dim 32    3e-4  0.001  0.003   0.01   0.03    0.1    0.3  sensitivity',
      'plain    3.523  3.000  2.523 *2.000  2.477  3.000      –        0.932',
      'qk-norm  3.523  3.000  2.523 *2.000  2.477  3.000  3.477        0.857',
    ]);
    expect(lines).toContain('* lowest of the row, – diverged (NaN or infinity)');
  });

  it('sweepTable of many learning rates and a long name goes on in further blocks and stays within 80 columns', () => {
    const rates = Array.from({ length: 15 }, (_, i) => 10 ** (i - 8));
    const lines = sweepTable(sweepOf(['a technique whose name is far too long for a table', 'b'], [8], () => 2.5, rates));
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(80);
    for (const rate of rates) expect(lines.join('\n')).toContain(rateName(rate));
    expect(lines.filter((line) => line.startsWith('a technique whose name …'))).toHaveLength(3);
    expect(lines.filter((line) => line.endsWith('sensitivity'))).toHaveLength(1);
  });

  it('sweepTable leaves runs empty that are to come', () => {
    expect(sweepTable(sweepOf(['plain'], [8], (_, __, rate) => (rate === 1 ? undefined : 2.5), [0.1, 1, 2]))[3]).toBe(`${'plain'.padEnd('dim 8, depth 2'.length)} *2.500         2.500`);
  });

  it('sweepTable says that sensitivities do not compare where learning rates differ between techniques, and only there', () => {
    const says = 'learning rates differ between techniques: their sensitivities do not compare';
    const summary = sweepOf(['plain', 'b'], [8, 16], () => 2.5, [0.1, 1]);
    expect(sweepTable(summary)).not.toContain(says);
    const groups = summary.groups.map((group) => (group.technique === 'b' ? { ...group, runs: group.runs.map((run) => ({ ...run, learningRate: 10 * run.learningRate })) } : group));
    expect(sweepTable({ ...summary, groups })).toContain(says);
  });
});

it('rateName and lossName take at most six characters for what they are made for', () => {
  expect([3e-4, 1e-3, 0.0125, 0.3, 1, 1e30, 1.5e-7].map(rateName)).toEqual(['3e-4', '0.001', '0.0125', '0.3', '1', '1e+30', '1.5e-7']);
  expect([2.34567, 0.01234, 12.3456, 123.456, 1234.5].map(lossName)).toEqual(['2.346', '0.012', '12.35', '123.5', '1.2e+3']);
});

it('kindsFound says each kind once, in words, and meaningsFound what they mean', () => {
  const findings = ['lossSpike', 'divergence', 'lossSpike'].map((kind, step) => ({ step, kind, message: '' }));
  expect(kindsFound({ findings })).toBe('loss spike, lasting rise');
  expect(meaningsFound([{ findings }, { findings }])).toBe('loss spike: the loss jumped · lasting rise: the loss rose well above its best and stayed there');
  expect(meaningsFound([{ findings: [] }])).toBe('');
});
