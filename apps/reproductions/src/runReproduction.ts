import { engine } from '@tensorflow/tfjs-core';
import { checkInteger, ConfigError } from '@evenkeel/core-tensor';
import type { Lab } from './lab.ts';
import { REPRODUCTIONS } from './registry.ts';
import type { Measurement } from './reproduction.ts';
import { verdictOf, type Verdict } from './verdict.ts';

export type RunOptions = {
  readonly lab: Lab;
  /** How many seeds; default 1. */
  readonly seeds?: number;
  /** The first of them; default 1. */
  readonly firstSeed?: number;
  /** Name of the device, for the record. */
  readonly device: string;
};

/**
 * runReproduction — measures both arms with each seed, on the device in use, and holds the means against the criterion.
 *
 * @throws ConfigError  if there is no reproduction of that name.
 */
export async function runReproduction(slug: string, { lab, seeds = 1, firstSeed = 1, device }: RunOptions): Promise<Verdict> {
  checkInteger('runReproduction', 'seeds', seeds);
  const load = Object.hasOwn(REPRODUCTIONS, slug) ? REPRODUCTIONS[slug] : undefined;
  if (load === undefined) throw new ConfigError(`runReproduction: slug must be one of ${Object.keys(REPRODUCTIONS).join(', ')}, got ${slug}`);
  const reproduction = await load();
  const started = performance.now();
  const all = Array.from({ length: seeds }, (_, i) => firstSeed + i);
  const measurements: Measurement[] = [];
  for (const seed of all) {
    const { numTensors } = engine().memory();
    measurements.push(await reproduction.measure({ ...lab, say: (what) => lab.say(seeds === 1 ? what : `seed ${seed}: ${what}`) }, seed));
    const left = engine().memory().numTensors - numTensors;
    if (left !== 0) throw new Error(`${slug} left ${left} tensors behind`);
  }
  return verdictOf(reproduction, measurements, { seeds: all, seconds: (performance.now() - started) / 1000, quick: lab.quick, device });
}
