import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { REPRODUCTIONS, renderVerdict, verdictsMarkdown, verdictText, type Reproduction } from '@evenkeel/reproductions';
import { describe, expect, it } from 'vitest';
import { docsFromResults } from '../scripts/docsFromResults.ts';
import { rankCorrelation } from '../src/numbers.ts';
import { verdictOf } from '../src/verdict.ts';
import { formatted } from '../src/verdictText.ts';

const example: Reproduction = {
  slug: 'example', paper: { title: 'An example', arxiv: '0000.00000' }, claim: 'It is smaller.', arms: { baseline: 'large', technique: 'small' },
  criterion: [{ says: 'less than half', holds: ({ baseline, technique }) => technique['loss']! < baseline['loss']! / 2 }],
  quickCriterion: [{ says: 'less', holds: ({ baseline, technique }) => technique['loss']! < baseline['loss']! }],
  meanings: { loss: 'loss (nats)' },
  measure: async () => ({ baseline: {}, technique: {}, charts: [] }),
};
const measured = (baseline: number, technique: number) => ({ baseline: { loss: baseline }, technique: { loss: technique }, charts: [] });
const about = { seeds: [1, 2], seconds: 3, quick: false, device: 'wasm' };

describe('a verdict', () => {
  it('holds the means over the seeds against the criterion, and counts the seeds that meet it', () => {
    const verdict = verdictOf(example, [measured(4, 1), measured(2, 1.5)], about);
    expect(verdict).toMatchObject({ baseline: { loss: 3 }, technique: { loss: 1.25 }, holds: true, checks: [{ says: 'less than half', holds: true, inSeeds: 1 }] });
    expect(verdictOf(example, [measured(4, 3), measured(2, 1.5)], about).holds).toBe(false);
  });

  it('of a quick run looks at the direction only', () => {
    expect(verdictOf(example, [measured(4, 3)], { ...about, quick: true })).toMatchObject({ holds: true, criterion: 'less' });
  });

  it('does not hold where a number is missing because a run diverged', () => {
    expect(verdictOf(example, [measured(4, NaN)], about).holds).toBe(false);
  });

  it('is said in lines for a terminal, and as a page', () => {
    const verdict = verdictOf(example, [measured(4, 3), measured(2, 1.5)], about);
    expect(verdictText(example, verdict).map(({ label, text }) => label + text).join('\n')).toContain('The claim does not hold here: seeds 1, 2, 3 s.');
    const lines = (measurements: Parameters<typeof verdictOf>[1], quick: boolean) => verdictText(example, verdictOf(example, measurements, { ...about, quick })).map(({ text }) => text);
    expect(lines([measured(4, 3)], true)).toContain('Quick run: the direction is the claim\'s; the claim itself was not tested: seeds 1, 2, 3 s.');
    expect(lines([measured(4, 5)], true)).toContain('Quick run: the direction is not the claim\'s; the claim itself was not tested: seeds 1, 2, 3 s.');
    expect(renderVerdict(example, verdictOf(example, [measured(4, 3)], { ...about, quick: true }))).toMatch(/>direction as claimed<[^]*does not test the claim/);
    const page = renderVerdict(example, verdict);
    expect(page).toContain('does not hold here');
    expect(page).toContain('loss (nats)');
  });
});

it('formatted says a number of any size in four digits', () => {
  const numbers = { share: 0.89391, many: 140_412, huge: 783_300_123_456, tiny: -1.23456e-7, nan: NaN };
  expect(Object.keys({ ...numbers, absent: 0 }).map((name) => formatted(numbers, name))).toEqual(['0.8939', '140,400', '7.833e11', '-1.235e-7', 'NaN', '–']);
});

describe('verdictsMarkdown', () => {
  it('keeps bars of a meaning from ending its cell', () => {
    const { measurements: _, ...verdict } = verdictOf(example, [measured(4, 1)], about);
    expect(verdictsMarkdown([{ reproduction: { ...example, meanings: { loss: '|loss| in nats' } }, verdict }])).toContain('| \\|loss\\| in nats | 4 | 1 |');
  });
});

describe('docs/reproductions.md', () => {
  it('says what the kept results say', async () => {
    expect(readFileSync(join(import.meta.dirname, '../../../docs/reproductions.md'), 'utf8')).toBe(await docsFromResults());
  });

  it.each(Object.entries(REPRODUCTIONS))('%s is registered under its slug', async (slug, load) => {
    expect((await load()).slug).toBe(slug);
  });
});

describe('rankCorrelation', () => {
  it('is 1 for the same order, −1 for the opposite one, and Spearman’s ρ between', () => {
    expect(rankCorrelation([1, 10, 100], [2, 3, 4])).toBe(1);
    expect(rankCorrelation([1, 10, 100], [4, 3, 2])).toBe(-1);
    expect(rankCorrelation([1, 2, 3, 4, 5], [2, 1, 4, 3, 5])).toBeCloseTo(0.8); // 1 − 6·4/(5·24)
  });
});
