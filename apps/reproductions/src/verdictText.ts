import type { Numbers, Reproduction } from './reproduction.ts';
import type { Verdict } from './verdict.ts';

/** verdictText — a verdict as lines for a terminal. */
export function verdictText({ paper, meanings, notes = [] }: Reproduction, verdict: Verdict): string[] {
  const { claim, baseline, technique, checks, seeds, seconds, holds, quick } = verdict;
  const names = [...new Set([...Object.keys(baseline), ...Object.keys(technique)])];
  const rows = names.map((name) => [meanings[name] ?? name, formatted(baseline, name), formatted(technique, name)] as const);
  return [
    `${paper.title} (arXiv:${paper.arxiv})`, '', claim, '',
    `${'baseline'.padStart(12)}${'technique'.padStart(12)}`,
    ...rows.map(([meaning, a, b]) => `${a.padStart(12)}${b.padStart(12)}  ${meaning}`), '',
    ...checks.map((check) => `${check.holds ? '✓' : '✗'} ${check.says} (${check.inSeeds} of ${seeds.length} seed${seeds.length === 1 ? '' : 's'})`), '',
    `${holds ? 'The claim holds' : 'The claim does not hold'} here${quick ? ', in a quick run that looks at the direction only' : ''}: seed${seeds.length === 1 ? '' : 's'} ${seeds.join(', ')}, ${seconds.toFixed(0)} s.`,
    ...notes.map((note) => `Note: ${note}`),
  ];
}

/** formatted — a number to four digits. */
export function formatted(numbers: Numbers, name: string): string {
  const value = numbers[name];
  if (value === undefined) return '–';
  return Number.isFinite(value) ? String(Number(value.toPrecision(4))) : String(value);
}
