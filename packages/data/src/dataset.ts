import { checkOneOf, ConfigError } from '@evenkeel/core-tensor';
import { DATASETS, type DatasetFile, type DatasetName } from './datasetTable.ts';
import { nodeModules, onFile, reasonOf, unlessGone, writeAtomically } from './nodeFs.ts';

export type DatasetOptions = {
  /** A folder with `text/tinyshakespeare.txt`, `images/…`. Default: the environment variable EVENKEEL_DATA. */
  directory?: string;
  /** Where files that were fetched are kept. Default: `evenkeel/data` in the user's cache folder ($XDG_CACHE_HOME or ~/.cache). */
  cacheDirectory?: string;
  /** Look only on this machine. Default false. */
  offline?: boolean;
  /** What fetches an address; default the global `fetch`. */
  fetch?: (url: string) => Promise<Response>;
};

/** Dataset — the file as it is published: images are still packed, for `readIdx` and `readCifar10`; text is UTF-8, for `readText(path)`. */
export type Dataset = { readonly path: string; readonly bytes: Uint8Array<ArrayBuffer>; readonly what: string; readonly licence: string };

/**
 * dataset — a small public data set by its name: from a folder of yours, or else from the cache, or else fetched once and kept there.
 *
 * Length and SHA-256 are those that are known, wherever it comes from: a file of yours that differs is an error, one in the cache is
 * fetched anew. The file of the cache is there in full or not at all.
 *
 * @param which  `tinyshakespeare`, `wikitext-2-valid`, `sst2-train`, … (see `DatasetName`); or what is known of another file. Nobody offers
 *               `cifar10-train-10k` and `cifar10-test-2k` for download: they must lie in a folder of yours.
 * @throws ConfigError       if the name is none of these, or the file is nowhere: says where it was looked for and what went wrong there.
 * @throws UnsupportedError  outside Node.
 */
export async function dataset(which: DatasetName | DatasetFile, options: DatasetOptions = {}): Promise<Dataset> {
  if (typeof which === 'string') checkOneOf('dataset', 'which', which, Object.keys(DATASETS) as DatasetName[]);
  const known: DatasetFile = typeof which === 'string' ? DATASETS[which] : which;
  const { what = known.file, licence = 'not stated' } = known;
  return { ...await find(typeof which === 'string' ? which : known.file, known, options), what, licence };
}

type Found = Pick<Dataset, 'path' | 'bytes'>;

async function find(name: string, known: DatasetFile, { directory, cacheDirectory = defaultCache(), offline = false, fetch = fetched }: DatasetOptions): Promise<Found> {
  const { path } = nodeModules('dataset');
  const tried: string[] = [];
  const given = directory ?? (process.env['EVENKEEL_DATA'] || undefined);
  if (given !== undefined) {
    const file = path.join(given, known.file);
    const bytes = read(file);
    const difference = bytes && await differenceOf(bytes, known);
    if (difference !== undefined) throw new ConfigError(`dataset: ${file} must be ${name} of ${difference}`);
    if (bytes !== undefined) return { path: file, bytes };
    tried.push(`${file} (not there)`);
  } else {
    tried.push('EVENKEEL_DATA (not set)');
  }
  const file = path.join(cacheDirectory, known.file);
  const cached = read(file);
  if (cached !== undefined && await differenceOf(cached, known) === undefined) return { path: file, bytes: cached };
  tried.push(`${file} (${cached === undefined ? 'not there' : 'damaged'})`);
  if (known.url !== undefined && !offline) {
    const bytes = await download(known.url, known, fetch);
    if (typeof bytes !== 'string') {
      writeAtomically('dataset', file, bytes);
      return { path: file, bytes };
    }
    tried.push(`${known.url} (${bytes})`);
  }
  const help = known.url === undefined ? 'It is not offered for download in this form' : offline ? 'It was not fetched, as offline is set' : 'Is there a network?';
  throw new ConfigError(`dataset: ${name} must be somewhere, got nothing from ${tried.join(', ')}. ${help}${help.endsWith('?') ? ' ' : '. '}A folder with ${known.file} can be given as directory or EVENKEEL_DATA.`);
}

/** The bytes of a file; undefined if it is not there. */
function read(file: string): Uint8Array<ArrayBuffer> | undefined {
  const { fs } = nodeModules('dataset');
  return unlessGone(() => onFile('dataset', file, 'readable', () => new Uint8Array(fs.readFileSync(file))));
}

/** What is wrong with the bytes, as the end of a sentence; undefined if they are the ones. */
async function differenceOf(bytes: Uint8Array<ArrayBuffer>, known: DatasetFile): Promise<string | undefined> {
  if (bytes.length !== known.bytes) return `${known.bytes} bytes, got ${bytes.length}`;
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes));
  const sha256 = Array.from(digest, (byte) => byte.toString(16).padStart(2, '0')).join('');
  return sha256 === known.sha256 ? undefined : `SHA-256 ${known.sha256}, got ${sha256}`;
}

/** The bytes of an address, or why they are not to be had. */
async function download(url: string, known: DatasetFile, fetch: NonNullable<DatasetOptions['fetch']>): Promise<Uint8Array<ArrayBuffer> | string> {
  try {
    const response = await fetch(url);
    if (!response.ok) return `status ${response.status}`;
    const bytes = new Uint8Array(await response.arrayBuffer());
    const difference = await differenceOf(bytes, known);
    return difference === undefined ? bytes : `must have ${difference}`;
  } catch (error) {
    return reasonOf((error as Error).cause ?? error);
  }
}

const TIMEOUT_MS = 120_000;

const fetched = (url: string): Promise<Response> => fetch(url, { signal: AbortSignal.timeout(TIMEOUT_MS) });

function defaultCache(): string {
  const { path, os } = nodeModules('dataset');
  const cache = process.env['XDG_CACHE_HOME'] ?? '';
  return path.join(path.isAbsolute(cache) ? cache : path.join(os.homedir(), '.cache'), 'evenkeel', 'data'); // the standard says to ignore relative ones
}
