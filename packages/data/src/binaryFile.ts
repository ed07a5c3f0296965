import { ConfigError } from '@evenkeel/core-tensor';
import { nodeModules, onFile } from './nodeFs.ts';

/** BinarySource — the path of a file (in Node), or its bytes. */
export type BinarySource = string | Uint8Array;

/** NamedBytes — bytes, and what error messages call them. */
export type NamedBytes = { readonly name: string; readonly bytes: Uint8Array };

/**
 * unpacked — the bytes of a file, gunzipped if they are packed.
 *
 * @throws ConfigError  if the file cannot be read, or what is packed is damaged.
 */
export async function unpacked(fn: string, source: BinarySource): Promise<NamedBytes> {
  const name = typeof source === 'string' ? source : 'the source';
  const bytes = typeof source === 'string' ? readBytes(fn, source) : source;
  return { name, bytes: bytes[0] === 0x1f && bytes[1] === 0x8b ? await gunzip(fn, name, bytes) : bytes };
}

function readBytes(fn: string, path: string): Uint8Array {
  const { fs } = nodeModules(fn);
  return onFile(fn, path, 'a readable file', () => new Uint8Array(fs.readFileSync(path)));
}

async function gunzip(fn: string, name: string, bytes: Uint8Array): Promise<Uint8Array> {
  try {
    const stream = new Blob([bytes as Uint8Array<ArrayBuffer>]).stream().pipeThrough(new DecompressionStream('gzip'));
    return new Uint8Array(await new Response(stream).arrayBuffer());
  } catch (error) {
    throw new ConfigError(`${fn}: ${name} must be a whole gzip file, got one that cannot be unpacked. Is it truncated?`, { cause: error });
  }
}
