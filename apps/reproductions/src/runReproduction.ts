import { engine } from '@tensorflow/tfjs-core';
import { checkInteger, ConfigError } from '@evenkeel/core-tensor';
import type { Lab } from './lab.ts';
import { REPRODUCTIONS } from './registry.ts';
import type { Measurement, Reproduction } from './reproduction.ts';
import { verdictOf, type Verdict } from './verdict.ts';

/** MeasuredSeed — both arms with one seed, and how long they took. */
export type MeasuredSeed = { readonly measurement: Measurement; readonly seconds: number };

export type RunOptions = {
  readonly quick?: boolean;
  /** How many seeds; default 1. */
  readonly seeds?: number;
  /** The first of them; default 1. */
  readonly firstSeed?: number;
  /** Name of the device, for the record. */
  readonly device: string;
  /** Measures one seed: here by `measureSeed`, or in a process of its own. */
  readonly measure: (slug: string, seed: number) => Promise<MeasuredSeed>;
};

/**
 * runReproduction — measures both arms with each seed and holds the means against the criterion. All seeds are asked for at once: `measure`
 * decides what runs beside what. `seconds` is their sum.
 *
 * @throws ConfigError  if there is no reproduction of that name, or `seeds` is no positive integer.
 */
export async function runReproduction(slug: string, { quick = false, seeds = 1, firstSeed = 1, device, measure }: RunOptions): Promise<Verdict> {
  checkInteger('runReproduction', 'seeds', seeds);
  const reproduction = await reproductionOf(slug);
  const all = Array.from({ length: seeds }, (_, i) => firstSeed + i);
  const measured = await Promise.all(all.map((seed) => measure(slug, seed)));
  const seconds = measured.reduce((sum, each) => sum + each.seconds, 0);
  return verdictOf(reproduction, measured.map(({ measurement }) => measurement), { seeds: all, seconds, quick, device });
}

/**
 * measureSeed — both arms of a reproduction with one seed, on the device in use; one at a time.
 *
 * @throws ConfigError  if there is no reproduction of that name.
 */
export async function measureSeed(slug: string, seed: number, lab: Lab): Promise<MeasuredSeed> {
  const reproduction = await reproductionOf(slug);
  const started = performance.now();
  const { numTensors } = engine().memory();
  const measurement = await reproduction.measure(lab, seed);
  const left = engine().memory().numTensors - numTensors;
  if (left !== 0) throw new Error(`${slug} left ${left} tensors behind`);
  return { measurement, seconds: (performance.now() - started) / 1000 };
}

async function reproductionOf(slug: string): Promise<Reproduction> {
  const load = Object.hasOwn(REPRODUCTIONS, slug) ? REPRODUCTIONS[slug] : undefined;
  if (load === undefined) throw new ConfigError(`runReproduction: slug must be one of ${Object.keys(REPRODUCTIONS).join(', ')}, got ${slug}`);
  return await load();
}
