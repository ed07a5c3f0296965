import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { deserialize, serialize } from 'node:v8';
import { atomicWriteFile, makeDirectory } from '@evenkeel/checkpoint';
import type { MeasuredSeed } from '@evenkeel/reproductions';
import { version } from '../version.ts';

/** KeptSeeds — what was measured before, seed by seed; `read` gives undefined for what was not, or by another release. */
export type KeptSeeds = { read(slug: string, seed: number): MeasuredSeed | undefined; write(slug: string, seed: number, measured: MeasuredSeed): Promise<void> };

type Kept = { readonly release: string; readonly quick: boolean; readonly device: string; readonly measured: MeasuredSeed };

/** keptSeeds — in `out/seeds`, a file for each seed of each paper: as structured clones, as JSON has no Infinity. */
export function keptSeeds(out: string, { quick, device }: { readonly quick: boolean; readonly device: string }): KeptSeeds {
  const folder = join(out, 'seeds');
  const pathOf = (slug: string, seed: number): string => join(folder, `${slug}${quick ? '-quick' : ''}-${seed}.bin`);
  return {
    read: (slug, seed) => {
      const path = pathOf(slug, seed);
      if (!existsSync(path)) return undefined;
      const kept = recordIn(readFileSync(path));
      return kept?.release === version() && kept.quick === quick && kept.device === device ? kept.measured : undefined;
    },
    write: async (slug, seed, measured) => {
      await makeDirectory(folder);
      await atomicWriteFile(pathOf(slug, seed), serialize({ release: version(), quick, device, measured } satisfies Kept));
    },
  };
}

function recordIn(bytes: Uint8Array): Kept | undefined {
  try {
    return deserialize(bytes) as Kept;
  } catch {
    return undefined; // not ours: it is measured again
  }
}
