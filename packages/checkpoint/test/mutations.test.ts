import { ConfigError, ShapeError, UnsupportedError, foldSeed, randomBits } from '@evenkeel/core-tensor';
import { parseSafetensors, readSafetensors, serializeSafetensors, type Safetensors } from '@evenkeel/checkpoint';
import { describe, expect, it } from 'vitest';
import { everyDtype, f32, rawFile } from './helpers.ts';

const MUTATIONS = 10_000;
const originals = [
  serializeSafetensors(everyDtype, { metadata: { format: 'pt', step: '12' } }),
  serializeSafetensors({ a: f32([2], 1, -2) }),
  serializeSafetensors(Object.fromEntries(Array.from({ length: 40 }, (_, i) => [`h.${i}.weight`, f32([3, 5], ...Array(15).fill(i))]))),
  rawFile('{"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}} ', Uint8Array.of(0, 0, 128, 63)),
];
const numbers = ['0', '-1', '1', '7', '1e9', '4294967296', '9007199254740991', '9007199254740993', '18446744073709551615', '1'.repeat(400), '0.5', 'null', '[]', '""'];
const snippets = ['{', '}', '[', ']', '"', ',', ':', '\\', '\\u0000', '\n', '{"a":'.repeat(50), '['.repeat(500), '"__metadata__":{}', '"dtype":"F64",', '\ud83d\ude00'];

/** Draws from a seed: `pick(n)` is an integer in 0 … n − 1. */
function picker(seed: number): (n: number) => number {
  const bits = randomBits(seed, 64);
  let next = 0;
  return (n) => Math.floor(((bits[next++ % bits.length] as number) / 2 ** 32) * n);
}

function mutate(original: Uint8Array, seed: number): Uint8Array<ArrayBufferLike> {
  const pick = picker(seed);
  let file: Uint8Array = original.slice();
  for (let rounds = 1 + pick(4); rounds > 0; rounds--) file = mutations[pick(mutations.length)]?.(file, pick) ?? file;
  return file;
}

type Pick = (n: number) => number;
const mutations: ((file: Uint8Array, pick: Pick) => Uint8Array)[] = [
  (file, pick) => { // one bit
    const at = pick(file.length);
    file[at] = (file[at] ?? 0) ^ (1 << pick(8));
    return file;
  },
  (file, pick) => file.fill(pick(256), pick(file.length), pick(file.length)),
  (file, pick) => file.slice(0, pick(file.length)),
  (file, pick) => Uint8Array.from([...file, ...new Uint8Array(pick(40))]),
  (file, pick) => { // cut a piece out
    const at = pick(file.length);
    return Uint8Array.from([...file.subarray(0, at), ...file.subarray(at + 1 + pick(16))]);
  },
  (file, pick) => { // another header length
    const lengths = [0n, 1n, 8n, BigInt(file.length), BigInt(file.length - 8), 99_999_999n, 100_000_001n, 2n ** 31n, 2n ** 32n, 2n ** 63n, 2n ** 64n - 1n];
    if (file.length >= 8) new DataView(file.buffer).setBigUint64(0, lengths[pick(lengths.length)] as bigint, true);
    return file;
  },
  (file, pick) => editHeader(file, (text) => text.replace(/-?\d+/g, (found) => (pick(6) === 0 ? (numbers[pick(numbers.length)] as string) : found))),
  (file, pick) => editHeader(file, (text) => {
    const at = pick(text.length);
    return text.slice(0, at) + (snippets[pick(snippets.length)] as string) + text.slice(at + pick(3));
  }),
  (file, pick) => editHeader(file, (text) => { // a member twice, or two members swapped
    const members = text.split(/(?<=\}),/);
    members[pick(members.length)] = members[pick(members.length)] as string;
    return members.join(',');
  }),
];

/** Changes the text of the header and keeps its length field right, so that the damage is found later. */
function editHeader(file: Uint8Array, edit: (text: string) => string): Uint8Array {
  if (file.length < 8) return file;
  const length = Number(new DataView(file.buffer).getBigUint64(0, true));
  if (length > file.length - 8) return file;
  return rawFile(edit(new TextDecoder().decode(file.subarray(8, 8 + length))), file.subarray(8 + length));
}

const isOurs = (error: unknown): boolean => error instanceof ConfigError || error instanceof ShapeError || error instanceof UnsupportedError;

describe('parseSafetensors of damaged files', () => {
  it(`parseSafetensors(${MUTATIONS} mutated files) gives tensors within the file or one clear line, quickly and in little memory`, () => {
    const before = process.memoryUsage().rss;
    let parsed = 0;
    for (let i = 0; i < MUTATIONS; i++) {
      const file = mutate(originals[i % originals.length] as Uint8Array, foldSeed(1, i));
      const started = performance.now();
      try {
        checkContent(file, parseSafetensors(file));
        parsed++;
      } catch (error) {
        if (!isOurs(error)) throw new Error(`mutation ${i}: not an error of ours`, { cause: error });
        const { message } = error as Error;
        if (!/^parseSafetensors: [^\n]{10,1000}$/.test(message)) throw new Error(`mutation ${i}: not one clear line: ${message}`, { cause: error });
      }
      if (performance.now() - started > 5000) throw new Error(`mutation ${i}: took more than five seconds`);
    }
    expect(parsed).toBeGreaterThan(MUTATIONS / 100);
    expect(parsed).toBeLessThan(MUTATIONS / 2);
    expect(process.memoryUsage().rss - before).toBeLessThan(300 * 2 ** 20);
  });

  const big = 2 ** 22;
  const hostile: [what: string, header: string][] = [
    ['arrays nested 4 million deep', '{"x":' + '['.repeat(big)],
    ['an unknown key that holds 2 million empty arrays', `{"x":{"y":[${'[],'.repeat(big / 2)}`],
    ['a string that never ends', `{"${'a'.repeat(big)}`],
    ['a string of escapes', `{"${'\\u0061'.repeat(big / 8)}x`],
    ['an integer of 4 million digits', `{"x":{"shape":[${'9'.repeat(big)}]`],
    ['a shape of 2 million ones with a wrong size', `{"x":{"dtype":"F32","data_offsets":[0,8],"shape":[${'1,'.repeat(big / 2)}1]}}`],
    ['4 million spaces', `{${' '.repeat(big)}`],
  ];
  it.each(hostile)('parseSafetensors(a header of %s) throws one short line within seconds', (_, header) => {
    const started = performance.now();
    expect(() => parseSafetensors(rawFile(header))).toThrow(/^parseSafetensors: file[^\n]{10,300}$/);
    expect(performance.now() - started).toBeLessThan(10_000);
  });

  it('readSafetensors of 1,000 mutated files agrees with parseSafetensors', async () => {
    for (let i = 0; i < 1000; i++) {
      const file = mutate(originals[i % originals.length] as Uint8Array, foldSeed(2, i));
      const read = await readSafetensors(new Blob([file as Uint8Array<ArrayBuffer>])).then((content) => ({ ...content.tensors }), (error: Error) => tail(error));
      expect(read).toEqual(attempt(() => ({ ...parseSafetensors(file).tensors })));
    }
  });
});

/** Tensors that were accepted: consistent, and no more bytes than the file has. */
function checkContent(file: Uint8Array, { tensors }: Safetensors): void {
  const bytes = Object.values(tensors).reduce((total, { data }) => total + data.byteLength, 0);
  expect(bytes).toBeLessThanOrEqual(file.length);
  expect(serializeSafetensors(tensors).length).toBeGreaterThanOrEqual(bytes);
}

const tail = (error: Error): string => `${error.name} ${error.message.replace(/^\w+: /, '')}`;

function attempt<T>(work: () => T): T | string {
  try {
    return work();
  } catch (error) {
    return tail(error as Error);
  }
}
