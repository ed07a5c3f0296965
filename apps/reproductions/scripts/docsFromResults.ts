import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { REPRODUCTIONS, verdictsMarkdown, type Kept } from '../src/index.ts';

const RESULTS = join(import.meta.dirname, '../results');

/** docsFromResults — the page that the kept verdicts make, in the order of the registry. */
export async function docsFromResults(): Promise<string> {
  const all = await Promise.all(Object.entries(REPRODUCTIONS).map(async ([slug, load]) => {
    const path = join(RESULTS, `${slug}.json`);
    if (!existsSync(path)) return [];
    return [{ reproduction: await load(), verdict: JSON.parse(readFileSync(path, 'utf8')) as Kept }];
  }));
  return verdictsMarkdown(all.flat());
}
