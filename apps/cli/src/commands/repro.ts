import { mkdirSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import pLimit from 'p-limit';
import { atomicWriteFile } from '@evenkeel/checkpoint';
import { measureSeed, renderVerdict, REPRODUCTIONS, runReproduction, verdictText, type Kept, type MeasuredSeed, type Verdict } from '@evenkeel/reproductions';
import { announceDevice, openDevice, type DeviceName } from '../devices.ts';
import { UsageError } from '../errors.ts';
import { wrap } from '../format.ts';
import type { Io } from '../output.ts';
import { PROGRAM } from '../programName.ts';
import { labOf, type LabOptions } from '../repro/lab.ts';
import { keptSeeds, type KeptSeeds } from '../repro/keptSeeds.ts';
import { measureInProcess } from '../repro/seedProcess.ts';

export type ReproOptions = Partial<LabOptions> & {
  readonly slug: string;
  readonly seeds: number;
  readonly firstSeed: number;
  /** How many seeds are measured at a time, each in a process with one thread; default: one for each core, on a GPU one. */
  readonly jobs?: number;
  /** Do not measure what is in `out` from an earlier run, killed or not. */
  readonly resume?: boolean;
  readonly out: string;
  readonly device: DeviceName;
};

/** ReproResult — of one reproduction; with `all`, a list of them; with `list`, what there is. */
export type ReproResult = Kept | { readonly command: 'repro'; readonly papers: readonly ListedPaper[] }
  | { readonly command: 'repro'; readonly results: readonly Kept[]; readonly holds: number };

export type ListedPaper = { readonly slug: string; readonly title: string; readonly arxiv: string; readonly claim: string };

/** repro — measures the claims of one paper, or of all, and writes a page and a record of each; or lists them. */
export async function repro(options: ReproOptions, io: Io): Promise<ReproResult> {
  const { slug, seeds, firstSeed, quick = false, out, device: name, resume = false } = options;
  if (slug === 'list') return await listPapers(io);
  const slugs = slug === 'all' ? Object.keys(REPRODUCTIONS) : [slug];
  if (slugs.some((each) => !Object.hasOwn(REPRODUCTIONS, each))) throw new UsageError(`repro takes list, all or one of ${Object.keys(REPRODUCTIONS).join(', ')}, got ${slug}`);
  const device = await openDevice(name);
  announceDevice(device, name, io.line);
  mkdirSync(out, { recursive: true });
  const { jobs = device.name === 'webgpu' ? 1 : availableParallelism() } = options;
  const kept = keptSeeds(out, { quick, device: device.name });
  const measure = measurer({ ...options, quick, jobs: Math.min(jobs, slugs.length * seeds), resume, kept }, io);
  const verdicts = slugs.map((each) => runReproduction(each, { quick, seeds, firstSeed, device: device.name, measure }));
  const written = verdicts.map(async (verdict, i) => await writeVerdict(slugs[i] as string, await verdict, out, io)); // as they come
  const results = await Promise.all(written);
  return slug === 'all' ? { command: 'repro', results, holds: results.filter(({ holds }) => holds).length } : results[0] as Kept;
}

/** Measures in the order asked for, so many at a time: one here, with all threads of the device, several in processes of their own, which give the same numbers. */
function measurer({ quick, data, device, jobs, resume, kept }: LabOptions & { readonly device: DeviceName; readonly jobs: number; readonly resume: boolean; readonly kept: KeptSeeds }, io: Io) {
  const limit = pLimit(jobs);
  let failure: unknown;
  return (slug: string, seed: number): Promise<MeasuredSeed> => limit(async () => {
    if (failure !== undefined) throw failure; // the others need not begin
    const before = resume ? kept.read(slug, seed) : undefined;
    if (before !== undefined) return before;
    const say = (what: string): void => io.note(`${slug}, seed ${seed}: ${what}`);
    try {
      const measured = jobs === 1 ? await measureSeed(slug, seed, labOf({ quick, data }, say)) : await measureInProcess({ slug, seed, quick, data, device }, say);
      await kept.write(slug, seed, measured);
      return measured;
    } catch (error) {
      throw failure = error;
    }
  });
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
