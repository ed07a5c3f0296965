import { dataset, type DatasetName } from '@evenkeel/data';
import type { Lab } from '@evenkeel/reproductions';

export type LabOptions = {
  readonly quick: boolean;
  /** A folder with the data sets; default: a cache of what was fetched. */
  readonly data?: string;
};

/** labOf — the data sets of a folder, or fetched, and somebody who listens. */
export function labOf({ quick, data }: LabOptions, say: (what: string) => void): Lab {
  const bytes: Lab['bytes'] = async (name) => (await dataset(name as DatasetName, { directory: data })).bytes;
  return { quick, say, bytes, text: async (name) => new TextDecoder().decode(await bytes(name)) };
}
