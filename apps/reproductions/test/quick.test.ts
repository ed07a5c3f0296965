import { createRequire } from 'node:module';
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { useDevice } from '@evenkeel/core-tensor';
import { dataset, type DatasetName } from '@evenkeel/data';
import { measureSeed, REPRODUCTIONS, runReproduction } from '@evenkeel/reproductions';
import { wasm, wasmFeatures } from '@evenkeel/wasm-kernels';
import { memory } from '@tensorflow/tfjs-core';
import { beforeAll, describe, expect, it } from 'vitest';

/** The data set where it is at hand, else text that every installation has. */
async function text(name: string): Promise<string> {
  if (process.env['EVENKEEL_DATA']) return new TextDecoder().decode((await dataset(name as DatasetName)).bytes);
  const lib = join(dirname(createRequire(import.meta.url).resolve('typescript/package.json')), 'lib');
  return readFileSync(join(lib, 'lib.dom.d.ts'), 'utf8').slice(0, 1_000_000).replace(/[^\n -~]/g, ' ');
}

/** The data set where it is at hand: photographs are in no installation, so that without them a test of them is skipped. */
const bytes = async (name: string, skip: (why: string) => never): Promise<Uint8Array<ArrayBuffer>> => {
  if (!process.env['EVENKEEL_DATA']) return skip(`needs ${name} in a folder EVENKEEL_DATA`);
  return (await dataset(name as DatasetName)).bytes;
};

describe('a quick run', () => {
  beforeAll(async () => void await useDevice('wasm', [wasm({ simd: wasmFeatures().wideSimd ? 'wide' : 'auto' })]));

  it.for(Object.keys(REPRODUCTIONS))('of %s shows the direction that the paper says, and leaves nothing behind', { timeout: 240_000 }, async (slug, { skip }) => {
    const before = memory().numTensors;
    const lab = { quick: true, text, bytes: (name: string) => bytes(name, skip), say: () => {} };
    const verdict = await runReproduction(slug, { quick: true, device: 'wasm', measure: (each, seed) => measureSeed(each, seed, lab) });
    expect(verdict.checks.filter(({ holds }) => !holds).map(({ says }) => says), JSON.stringify([verdict.baseline, verdict.technique])).toEqual([]);
    expect(memory().numTensors).toBe(before);
  });
});
