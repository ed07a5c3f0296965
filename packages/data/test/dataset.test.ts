import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { ConfigError } from '@evenkeel/core-tensor';
import { dataset, readCifar10, readIdx, type DatasetFile, type DatasetName } from '@evenkeel/data';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { directoryWith, rejection } from './helpers.ts';

const content = new TextEncoder().encode('To be, or not to be');
const known: DatasetFile = {
  file: 'text/hamlet.txt', bytes: content.length, sha256: createHash('sha256').update(content).digest('hex'), url: 'https://example.org/hamlet.txt', what: 'a line', licence: 'public domain',
};
const answers = (body: Uint8Array<ArrayBuffer> | string = content, status = 200) => vi.fn(async (_url: string) => new Response(body, { status }));
const refuses = async (): Promise<Response> => { throw new TypeError('fetch failed', { cause: new Error('getaddrinfo ENOTFOUND example.org') }); };

afterEach(() => vi.unstubAllEnvs());

const NAMES: readonly DatasetName[] = [
  'tinyshakespeare', 'wikitext-2-valid', 'wikitext-2-test', 'sst2-train', 'sst2-dev', 'cola-train', 'cola-dev',
  'tsac-train-pos', 'tsac-train-neg', 'tsac-test-pos', 'tsac-test-neg', 'trcd-train', 'trcd-val', 'trcd-test',
  'mnist-t10k-images', 'mnist-t10k-labels', 'cifar10-train-10k', 'cifar10-test-2k',
];

describe('dataset(which)', () => {
  it('takes the file of the given folder, and asks nobody', async () => {
    const directory = directoryWith({ 'text/hamlet.txt': content });
    const fetch = answers();
    expect(await dataset(known, { directory, cacheDirectory: directoryWith(), fetch })).toEqual({ path: join(directory, 'text/hamlet.txt'), bytes: content, what: 'a line', licence: 'public domain' });
    expect(fetch).not.toHaveBeenCalled();
  });

  it('takes the folder EVENKEEL_DATA where none is given', async () => {
    const directory = directoryWith({ 'text/hamlet.txt': content });
    vi.stubEnv('EVENKEEL_DATA', directory);
    expect((await dataset(known, { cacheDirectory: directoryWith(), fetch: refuses })).path).toBe(join(directory, 'text/hamlet.txt'));
    expect((await dataset(known, { directory: directoryWith(), cacheDirectory: directory, fetch: refuses })).path).toBe(join(directory, 'text/hamlet.txt'));
  });

  it('fetches what is nowhere, once, and keeps it in the cache folder', async () => {
    vi.stubEnv('EVENKEEL_DATA', '');
    vi.stubEnv('XDG_CACHE_HOME', directoryWith());
    const fetch = answers();
    const first = await dataset(known, { fetch });
    expect(fetch.mock.calls).toEqual([[known.url]]);
    expect(first.path).toBe(join(process.env.XDG_CACHE_HOME!, 'evenkeel/data/text/hamlet.txt'));
    expect(new Uint8Array(readFileSync(first.path))).toEqual(content);
    expect(readdirSync(dirname(first.path))).toEqual(['hamlet.txt']); // no temporary file is left
    expect(await dataset(known, { fetch: refuses })).toEqual(first);
  });

  it('fetches a damaged file of the cache anew, but refuses a wrong file of the user', async () => {
    const wrong = Uint8Array.from(content, (byte) => byte ^ 1);
    const cacheDirectory = directoryWith({ 'text/hamlet.txt': wrong });
    expect((await dataset(known, { cacheDirectory, fetch: answers() })).bytes).toEqual(content);
    expect(new Uint8Array(readFileSync(join(cacheDirectory, 'text/hamlet.txt')))).toEqual(content);
    const directory = directoryWith({ 'text/hamlet.txt': wrong });
    await expect(dataset(known, { directory, cacheDirectory, fetch: answers() })).rejects.toThrow(
      new ConfigError(`dataset: ${join(directory, 'text/hamlet.txt')} must be text/hamlet.txt of SHA-256 ${known.sha256}, got ${createHash('sha256').update(wrong).digest('hex')}`));
    const short = directoryWith({ 'text/hamlet.txt': 'To be' });
    await expect(dataset(known, { directory: short })).rejects.toThrow('must be text/hamlet.txt of 19 bytes, got 5');
  });

  it('says where it looked and what went wrong there', async () => {
    const [directory, cacheDirectory] = [directoryWith(), directoryWith({ 'text/hamlet.txt': 'cut' })];
    const places = `${join(directory, 'text/hamlet.txt')} (not there), ${join(cacheDirectory, 'text/hamlet.txt')} (damaged)`;
    const messageOf = async (options: object): Promise<string> => (await rejection(dataset(known, { directory, cacheDirectory, ...options }))).message;
    const help = 'A folder with text/hamlet.txt can be given as directory or EVENKEEL_DATA.';
    expect(await messageOf({ fetch: refuses })).toBe(`dataset: text/hamlet.txt must be somewhere, got nothing from ${places}, ${known.url} (getaddrinfo ENOTFOUND example.org). Is there a network? ${help}`);
    expect(await messageOf({ fetch: answers('', 404) })).toContain(`${known.url} (status 404). `);
    expect(await messageOf({ fetch: answers('short') })).toContain(`${known.url} (must have 19 bytes, got 5). `);
    const fetch = answers();
    expect(await messageOf({ fetch, offline: true })).toBe(`dataset: text/hamlet.txt must be somewhere, got nothing from ${places}. It was not fetched, as offline is set. ${help}`);
    expect(fetch).not.toHaveBeenCalled();
    vi.stubEnv('EVENKEEL_DATA', '');
    expect(await messageOf({ fetch, directory: undefined, offline: true })).toContain('got nothing from EVENKEEL_DATA (not set), ');
    await expect(dataset('cifar10-test-2k', { directory, cacheDirectory, fetch })).rejects.toThrow('cifar10-test-2k must be somewhere');
    expect((await rejection(dataset('cifar10-test-2k', { directory, cacheDirectory, fetch }))).message).toContain('It is not offered for download in this form. A folder with images/cifar10-test-2k.bin.gz');
  });

  it('says when the cache cannot be written', async () => {
    const cacheDirectory = join(directoryWith({ file: 'x' }), 'file');
    const error = await rejection(dataset(known, { cacheDirectory, fetch: answers() }));
    expect(error).toBeInstanceOf(ConfigError);
    expect(error.message).toMatch(/^dataset: .*hamlet\.txt must be .* \((ENOTDIR|EEXIST)\)$/);
  });

  it('names the data sets there are', async () => {
    await expect(dataset('imagenet' as DatasetName)).rejects.toThrow(`dataset: which must be one of ${NAMES.join(', ')}, got imagenet`);
  });
});

describe.skipIf(!process.env.EVENKEEL_DATA)('the real data sets (skipped where EVENKEEL_DATA names no folder with them)', () => {
  it.each(NAMES)('%s is the file that is known', async (name) => {
    expect((await dataset(name, { offline: true })).bytes.length).toBeGreaterThan(4000);
  });

  it('MNIST is ten thousand digits of 28 × 28, CIFAR-10 images of 32 × 32', async () => {
    const [images, labels] = [await readIdx((await dataset('mnist-t10k-images')).path), await readIdx((await dataset('mnist-t10k-labels')).bytes)];
    expect([images.shape, labels.shape]).toEqual([[10_000, 28, 28], [10_000]]);
    expect([...labels.values.slice(0, 10)]).toEqual([7, 2, 1, 0, 4, 1, 4, 9, 5, 9]);
    const { shape, labels: classes, images: pixels } = await readCifar10((await dataset('cifar10-train-10k')).path);
    expect(shape).toEqual([10_000, 32, 32, 3]);
    expect([...classes.slice(0, 10)]).toEqual([6, 9, 9, 4, 1, 1, 2, 7, 8, 3]);
    const mean = [0, 1, 2].map((c) => { let sum = 0; for (let i = c; i < pixels.length; i += 3) sum += pixels[i]!; return sum / (pixels.length / 3); });
    [125.3, 123, 113.9].forEach((whole, c) => expect(Math.abs(mean[c]! - whole)).toBeLessThan(2)); // of the whole training set
  });
});

it('two calls at once both fetch, and leave one file', async () => {
  const cacheDirectory = directoryWith();
  const both = await Promise.all([1, 2].map(() => dataset(known, { cacheDirectory, fetch: answers() })));
  expect(both.map(({ bytes }) => bytes)).toEqual([content, content]);
  expect(readdirSync(join(cacheDirectory, 'text'))).toEqual(['hamlet.txt']);
});
