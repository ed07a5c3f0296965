import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { atomicWriteFile } from '@evenkeel/checkpoint';
import { dataset, type DatasetName } from '@evenkeel/data';
import { renderVerdict, REPRODUCTIONS, runReproduction, verdictText, type Kept, type Verdict } from '@evenkeel/reproductions';
import { announceDevice, openDevice, type DeviceName } from '../devices.ts';
import { UsageError } from '../errors.ts';
import { wrap } from '../format.ts';
import type { Io } from '../output.ts';
import { PROGRAM } from '../programName.ts';

export type ReproOptions = {
  readonly slug: string;
  readonly seeds: number;
  readonly firstSeed: number;
  readonly quick?: boolean;
  /** A folder with the data sets; default: a cache of what was fetched. */
  readonly data?: string;
  readonly out: string;
  readonly device: DeviceName;
};

/** ReproResult — of one reproduction; with `all`, a list of them; with `list`, what there is. */
export type ReproResult = Kept | { readonly command: 'repro'; readonly papers: readonly ListedPaper[] }
  | { readonly command: 'repro'; readonly results: readonly Kept[]; readonly holds: number };

export type ListedPaper = { readonly slug: string; readonly title: string; readonly arxiv: string; readonly claim: string };

/** repro — measures the claims of one paper, or of all, and writes a page and a record of each; or lists them. */
export async function repro({ slug, seeds, firstSeed, quick = false, data, out, device: name }: ReproOptions, io: Io): Promise<ReproResult> {
  if (slug === 'list') return await listPapers(io);
  const slugs = slug === 'all' ? Object.keys(REPRODUCTIONS) : [slug];
  if (slugs.some((each) => !Object.hasOwn(REPRODUCTIONS, each))) throw new UsageError(`repro takes list, all or one of ${Object.keys(REPRODUCTIONS).join(', ')}, got ${slug}`);
  const device = await openDevice(name);
  announceDevice(device, name, io.line);
  mkdirSync(out, { recursive: true });
  const text = async (set: string): Promise<string> => new TextDecoder().decode((await dataset(set as DatasetName, { directory: data })).bytes);
  const results: Kept[] = [];
  for (const each of slugs) {
    io.note(`${each} …`);
    const verdict = await runReproduction(each, { lab: { quick, text, say: (what) => io.note(`  ${what}`) }, seeds, firstSeed, device: device.name });
    results.push(await writeVerdict(each, verdict, out, io));
  }
  return slug === 'all' ? { command: 'repro', results, holds: results.filter(({ holds }) => holds).length } : results[0] as Kept;
}

async function listPapers(io: Io): Promise<ReproResult> {
  const papers = await Promise.all(Object.values(REPRODUCTIONS).map(async (load): Promise<ListedPaper> => {
    const { slug, paper, claim } = await load();
    return { slug, ...paper, claim };
  }));
  const indent = 2 + Math.max(...papers.map(({ slug }) => slug.length));
  for (const { slug, title, arxiv } of papers) for (const line of wrap(slug.padEnd(indent), `${title} (arXiv:${arxiv})`)) io.line(line);
  io.line('\nMeasure one with');
  io.line(`  ${PROGRAM} repro ${papers[0]?.slug ?? '<slug>'}`);
  return { command: 'repro', papers };
}

async function writeVerdict(slug: string, verdict: Verdict, out: string, io: Io): Promise<Kept> {
  const reproduction = await (REPRODUCTIONS[slug] as () => Promise<Parameters<typeof renderVerdict>[0]>)();
  const { measurements: _, ...kept } = verdict;
  await atomicWriteFile(join(out, `${slug}.html`), renderVerdict(reproduction, verdict));
  await atomicWriteFile(join(out, `${slug}.json`), `${JSON.stringify(kept, null, 2)}\n`);
  io.line();
  for (const { label, text } of verdictText(reproduction, verdict)) for (const part of wrap(label, text)) io.line(part.trimEnd());
  io.line(`\npage  ${join(out, `${slug}.html`)}`);
  return kept;
}
