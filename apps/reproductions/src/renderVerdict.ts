import { renderPage, type PageSection } from '@evenkeel/training';
import type { Reproduction } from './reproduction.ts';
import type { Verdict } from './verdict.ts';
import { formatted, seedsOf } from './verdictText.ts';

/** renderVerdict — a verdict as one HTML page: claim, criterion, numbers of both arms, charts and pictures of the first seed. */
export function renderVerdict(reproduction: Reproduction, verdict: Verdict): string {
  const { paper } = reproduction;
  const { seeds, seconds, device, quick } = verdict;
  return renderPage({
    title: paper.title,
    status: `arXiv:${paper.arxiv} · ${seedsOf(seeds)} on ${device}, ${Math.round(seconds)} s${quick ? ' · a quick run' : ''}`,
    sections: [claimSection(verdict), numbersSection(reproduction, verdict), ...chartSections(verdict), ...albumSections(verdict), ...notesSection(reproduction)],
  });
}

function claimSection({ claim, checks, holds, seeds, quick }: Verdict): PageSection {
  const found = quick ? ['direction as claimed', 'direction not as claimed'] as const : ['holds here', 'does not hold here'] as const;
  return {
    heading: 'The claim', badge: { text: found[holds ? 0 : 1], tone: holds ? 'good' : 'bad' }, text: claim,
    list: checks.map((check) => ({ text: `${check.holds ? '✓' : '✗'} ${check.says} (${check.inSeeds} of ${seedsOf(seeds)}${seeds.length === 1 ? '' : ' by themselves'})`, tone: check.holds ? 'good' : 'bad' })),
    note: quick
      ? 'A quick run looks at the direction only, and does not test the claim.'
      : 'The criterion is held against the means over the seeds. Its thresholds were set with other seeds than these.',
  };
}

function numbersSection({ arms, meanings }: Reproduction, { baseline, technique, measurements, seeds }: Verdict): PageSection {
  const names = [...new Set([...Object.keys(baseline), ...Object.keys(technique)])];
  const ofSeeds = (arm: 'baseline' | 'technique', name: string): string => measurements.map((each) => formatted(each[arm], name)).join(', ');
  return {
    heading: 'Measured',
    table: {
      columns: ['', `baseline: ${arms.baseline}`, `technique: ${arms.technique}`, ...(seeds.length > 1 ? ['baseline, each seed', 'technique, each seed'] : [])],
      rows: names.map((name) => [
        meanings[name] ?? name, formatted(baseline, name), formatted(technique, name),
        ...(seeds.length > 1 ? [ofSeeds('baseline', name), ofSeeds('technique', name)] : []),
      ]),
    },
  };
}

function chartSections({ measurements, seeds }: Verdict): PageSection[] {
  return (measurements[0]?.charts ?? []).map((chart) => ({ heading: chart.title, charts: [chart], ...(seeds.length > 1 && { note: `Seed ${seeds[0]}.` }) }));
}

const albumSections = ({ measurements }: Verdict): PageSection[] => (measurements[0]?.albums ?? []).map(({ heading, pictures }) => ({ heading, pictures }));

const notesSection = ({ notes = [] }: Reproduction): PageSection[] => (notes.length === 0 ? [] : [{ heading: 'To know', text: notes }]);
