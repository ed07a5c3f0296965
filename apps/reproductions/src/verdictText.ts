import type { Numbers, Reproduction } from './reproduction.ts';
import type { Verdict } from './verdict.ts';

/** VerdictLine — a line for a terminal: where it is too long, `text` is to be broken, and indented by the length of `label`. */
export type VerdictLine = { readonly label: string; readonly text: string };

/** verdictText — a verdict as lines for a terminal. */
export function verdictText({ paper, arms, meanings, notes = [] }: Reproduction, verdict: Verdict): VerdictLine[] {
  const { claim, baseline, technique, checks, seeds, seconds, holds, quick } = verdict;
  const names = [...new Set([...Object.keys(baseline), ...Object.keys(technique)])];
  const rows = names.map((name) => [meanings[name] ?? name, formatted(baseline, name), formatted(technique, name)] as const);
  const line = (text: string, label = ''): VerdictLine => ({ label, text });
  return [
    line(`${paper.title} (arXiv:${paper.arxiv})`), line(''), line(claim), line(''),
    line(arms.baseline, 'baseline   '), line(arms.technique, 'technique  '), line(''),
    line('', `${'baseline'.padStart(12)}${'technique'.padStart(12)}`),
    ...rows.map(([meaning, a, b]) => line(meaning, `${a.padStart(12)}${b.padStart(12)}  `)), line(''),
    ...checks.map((check) => line(`${check.says} (${check.inSeeds} of ${seedsOf(seeds)})`, check.holds ? '✓ ' : '✗ ')), line(''),
    line(`${quick ? `Quick run: the direction is ${holds ? 'the claim\'s' : 'not the claim\'s'}; the claim itself was not tested` : `The claim ${holds ? 'holds' : 'does not hold'} here`}: seed${seeds.length === 1 ? '' : 's'} ${seeds.join(', ')}, ${seconds.toFixed(0)} s.`),
    ...notes.map((note) => line(note, 'Note: ')),
  ];
}

/** seedsOf — `1 seed`, `3 seeds`. */
export const seedsOf = ({ length }: readonly number[]): string => `${length} seed${length === 1 ? '' : 's'}`;

/** formatted — a number to four digits: `0.8939`, `140,400`, `7.833e11`. */
export function formatted(numbers: Numbers, name: string): string {
  const value = numbers[name];
  if (value === undefined) return '–';
  if (!Number.isFinite(value)) return String(value);
  const rounded = Number(value.toPrecision(4));
  return Math.abs(rounded) >= 1e6 ? rounded.toExponential().replace('e+', 'e') : Math.abs(rounded) >= 1e4 ? rounded.toLocaleString('en') : String(rounded);
}
