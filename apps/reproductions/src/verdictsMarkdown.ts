import type { Reproduction } from './reproduction.ts';
import type { Verdict } from './verdict.ts';
import { formatted, seedsOf } from './verdictText.ts';

/** Kept — a verdict as it is kept in a file: without the curves. */
export type Kept = Omit<Verdict, 'measurements'>;

const HEAD = `# Reproductions

Each claim is measured with and without the technique: same seed, same batches, same number of steps (or the same time, where the claim is about
speed), at a size that two CPU cores train in minutes. Thresholds were set with other seeds than those below, and then left alone. A claim that does not hold at this size is reported so.
This page is written from the results by \`node --conditions=@evenkeel/source apps/reproductions/scripts/docs.ts\`; one of them is measured again by
\`pnpm evenkeel repro <slug>\`, all of them by \`pnpm evenkeel repro all\`.
`;

/** verdictsMarkdown — a table of verdicts, and a section for each. */
export function verdictsMarkdown(all: readonly { readonly reproduction: Reproduction; readonly verdict: Kept }[]): string {
  const rows = all.map(({ reproduction: { slug, paper }, verdict }) => {
    const met = verdict.checks.filter(({ holds }) => holds).length;
    return `| [\`${slug}\`](#${slug}) | arXiv:${paper.arxiv} | ${verdict.holds ? 'holds' : `${met} of ${verdict.checks.length} parts hold`} | ${verdict.seeds.length} | ${Math.round(verdict.seconds)} |`;
  });
  return [HEAD, '| slug | paper | here | seeds | seconds |', '|---|---|---|---|---|', ...rows, '', ...all.flatMap(sectionOf)].join('\n');
}

function sectionOf({ reproduction: { slug, paper, arms, meanings, notes = [] }, verdict }: { readonly reproduction: Reproduction; readonly verdict: Kept }): string[] {
  const { baseline, technique, checks, seeds } = verdict;
  const names = [...new Set([...Object.keys(baseline), ...Object.keys(technique)])];
  return [
    `## ${slug}`, '', `*${paper.title}*, arXiv:${paper.arxiv}. ${verdict.claim}`, '',
    `| mean over the seeds | baseline: ${arms.baseline} | technique: ${arms.technique} |`, '|---|---|---|',
    ...names.map((name) => `| ${cell(meanings[name] ?? name)} | ${formatted(baseline, name)} | ${formatted(technique, name)} |`), '',
    ...checks.map(({ says, holds, inSeeds }) => `- ${holds ? 'holds' : '**does not hold**'}: ${says} (${inSeeds} of ${seedsOf(seeds)})`), '',
    ...notes.flatMap((note) => [note, '']),
  ];
}

/** Text of a table's cell: a bar would end it. */
const cell = (text: string): string => text.replaceAll('|', '\\|');
