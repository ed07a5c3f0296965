import { ConfigError, UnsupportedError } from '@evenkeel/core-tensor';
import { parseSafetensors, serializeSafetensors } from '@evenkeel/checkpoint';
import { describe, expect, it } from 'vitest';
import { bytesOf, everyDtype, f32, rawFile } from './helpers.ts';

const VECTOR = Buffer.concat([
  Buffer.from('3800000000000000', 'hex'),
  Buffer.from('{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}  ', 'latin1'),
  Buffer.from('0000803f000000c0', 'hex'),
]);
const info = (dtype: string, shape: unknown, begin: unknown, end: unknown) => ({ dtype, shape, data_offsets: [begin, end] });
const eight = new Uint8Array(8);

describe('parseSafetensors', () => {
  it('parseSafetensors(the 72-byte vector) gives its tensor, and serializeSafetensors writes the same 72 bytes', () => {
    expect(VECTOR.length).toBe(72);
    const { tensors, metadata } = parseSafetensors(VECTOR);
    expect(Object.keys(tensors)).toEqual(['a']);
    expect(tensors['a']).toEqual(f32([2], 1, -2));
    expect(Object.keys(metadata)).toEqual([]);
    expect(Buffer.from(serializeSafetensors(tensors)).equals(VECTOR)).toBe(true);
  });

  it('parseSafetensors reads every dtype and the shapes [] and [2, 0] bit for bit', () => {
    const { tensors } = parseSafetensors(serializeSafetensors(everyDtype));
    expect(Object.keys(tensors).sort()).toEqual(Object.keys(everyDtype).sort());
    for (const [name, entry] of Object.entries(everyDtype)) {
      expect(tensors[name]).toMatchObject({ dtype: entry.dtype, shape: entry.shape });
      expect(tensors[name]?.data.constructor).toBe(entry.data.constructor);
      expect(bytesOf(tensors[name] as typeof entry)).toEqual(bytesOf(entry));
    }
  });

  it('parseSafetensors gives views where a tensor is aligned, and copies where it is not', () => {
    const file = serializeSafetensors({ x: f32([2], 1, 2) });
    expect(parseSafetensors(file).tensors['x']?.data.buffer).toBe(file.buffer);
    for (const shift of [1, 2, 3, 5]) {
      const moved = new Uint8Array(file.length + shift).subarray(shift);
      moved.set(file);
      expect(parseSafetensors(moved).tensors['x']).toEqual(f32([2], 1, 2));
    }
    const odd = rawFile({ b: info('U8', [1], 0, 1), x: info('F32', [2], 1, 9) }, Uint8Array.of(7, 0, 0, 128, 63, 0, 0, 0, 64));
    expect(parseSafetensors(odd).tensors['x']).toEqual(f32([2], 1, 2));
  });

  it('parseSafetensors accepts white space around the header and unknown keys inside an entry', () => {
    const text = ` \n\t{ "x" : { "dtype":"F32" , "note":[{"a":null},-1.5e3,true,"\\u00e9"], "shape":[2], "data_offsets":[0,8] } }\r\n  `;
    expect(Object.keys(parseSafetensors(rawFile(text, eight)).tensors)).toEqual(['x']);
  });

  it('parseSafetensors(header {}) is an empty file', () => {
    expect(Object.keys(parseSafetensors(rawFile('{}')).tensors)).toEqual([]);
  });

  it('parseSafetensors reads names and metadata keys such as __proto__ and constructor as plain names', () => {
    const header = '{"__metadata__":{"__proto__":"polluted"},"__proto__":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"constructor":{"dtype":"U8","shape":[0],"data_offsets":[8,8]}}';
    const { tensors, metadata } = parseSafetensors(rawFile(header, eight));
    expect(Object.keys(tensors)).toEqual(['__proto__', 'constructor']);
    expect(Object.keys(metadata)).toEqual(['__proto__']);
    expect(({} as Record<string, unknown>)['dtype']).toBeUndefined();
    expect(Object.keys(parseSafetensors(serializeSafetensors(tensors, { metadata })).tensors).sort()).toEqual(['__proto__', 'constructor']);
  });
});

const header = (text: string): Uint8Array => rawFile(text, eight);
const x = '"x":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}';
const huge = new Uint8Array(16);
new DataView(huge.buffer).setBigUint64(0, 2n ** 64n - 1n, true);
const long = new Uint8Array(16);
new DataView(long.buffer).setBigUint64(0, 1000n, true);

const lies: [what: string, file: Uint8Array, message: string][] = [
  ['an empty file', new Uint8Array(0), 'must start with a header length of 8 bytes, got 0 bytes in all'],
  ['7 bytes', new Uint8Array(7), 'must start with a header length of 8 bytes, got 7 bytes in all'],
  ['a header length of 2^64 − 1', huge, 'must have a header of at most 100000000 bytes, got 18446744073709551615'],
  ['a header longer than the file', long, 'must hold its header of 1000 bytes, got 16 bytes in all'],
  ['no header', rawFile(''), 'must be JSON with "{" at character 0, got its end'],
  ['bad UTF-8', rawFile('{"x\u0000').fill(0xff, 11), 'header must be valid UTF-8'],
  ['a byte order mark', header(`\ufeff{${x}}`), 'must be JSON with "{" at character 0'],
  ['text after the header', header(`{${x}} }`), 'with nothing more at character'],
  ['a header that stops', header(`{${x}`), 'got its end'],
  ['a comma too many', header(`{${x},}`), 'must be JSON with a string'],
  ['half a surrogate pair', header(`{"\\ud800":{}}`), 'a well-formed string'],
  ['a raw control character', header('{"a\u0001":{}}'), 'a well-formed string'],
  ['an array for a header', header('[]'), 'must be JSON with "{"'],
  ['an equal name', header(`{${x},${x}}`), 'must hold each name once, got "x" twice'],
  ['an equal name in other letters', header(`{${x},"\\u0078":{"dtype":"U8","shape":[0],"data_offsets":[8,8]}}`), 'must hold each name once, got "x" twice'],
  ['metadata twice', header(`{"__metadata__":{},"__metadata__":{},${x}}`), 'must hold each name once, got "__metadata__" twice'],
  ['an equal key in an entry', header('{"x":{"dtype":"F32","dtype":"F32","shape":[2],"data_offsets":[0,8]}}'), 'got "dtype" twice'],
  ['metadata that is no string', header(`{"__metadata__":{"a":1},${x}}`), 'must be JSON with a string'],
  ['metadata that is null', header(`{"__metadata__":null,${x}}`), 'must be JSON with "{"'],
  ['no shape', header('{"x":{"dtype":"F32","data_offsets":[0,8]}}'), '"x" must have dtype, shape and data_offsets'],
  ['a negative size', header('{"x":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}}'), 'an integer ≥ 0'],
  ['a fraction for a size', header('{"x":{"dtype":"F32","shape":[2.5],"data_offsets":[0,8]}}'), 'an integer ≥ 0'],
  ['an exponent for a size', header('{"x":{"dtype":"F32","shape":[2e0],"data_offsets":[0,8]}}'), 'an integer ≥ 0'],
  ['a size of 2^53', header(`{"x":{"dtype":"F32","shape":[${2 ** 53}],"data_offsets":[0,8]}}`), 'an integer below 2^53'],
  ['a shape that overflows', rawFile({ x: info('F32', [2 ** 40, 2 ** 40], 0, 8) }, eight), 'a shape whose product overflows'],
  ['a shape that overflows in bits', rawFile({ x: info('F64', [2 ** 52], 0, 8) }, eight), 'a shape whose product overflows'],
  ['a shape that overflows before a zero', rawFile({ x: info('F32', [2 ** 40, 2 ** 40, 0], 0, 0) }), 'a shape whose product overflows'],
  ['a wrong size', rawFile({ x: info('F32', [3], 0, 8) }, eight), 'data of "x" must have 12 bytes for F32 [3], got 8 bytes'],
  ['F4 that fills no whole byte', rawFile({ x: info('F4', [3], 0, 2) }, eight), '3 elements of 4 bits, which do not fill whole bytes'],
  ['one offset', header('{"x":{"dtype":"F32","shape":[2],"data_offsets":[8]}}'), 'must be [begin, end], got [8]'],
  ['three offsets', header('{"x":{"dtype":"F32","shape":[2],"data_offsets":[0,8,8]}}'), 'must be [begin, end], got [0, 8, 8]'],
  ['offsets the wrong way round', rawFile({ x: info('F32', [2], 8, 0) }, eight), 'must be [begin, end], got [8, 0]'],
  ['a hole at the start', rawFile({ x: info('F32', [1], 4, 8) }, eight), 'must begin at byte 0, where the previous tensor ends, got a hole (4)'],
  ['a hole in between', rawFile({ a: info('U8', [2], 0, 2), b: info('U8', [5], 3, 8) }, eight), 'data of "b" must begin at byte 2'],
  ['an overlap', rawFile({ a: info('U8', [5], 0, 5), b: info('U8', [4], 4, 8) }, eight), 'data of "b" must begin at byte 5, where the previous tensor ends, got an overlap (4)'],
  ['the same bytes twice', rawFile({ a: info('U8', [8], 0, 8), b: info('U8', [8], 0, 8) }, eight), 'got an overlap (0)'],
  ['trailing bytes', rawFile({ x: info('F32', [1], 0, 4) }, eight), 'must hold 4 bytes of data after its header, got 8.'],
  ['missing bytes', rawFile({ x: info('F32', [4], 0, 16) }, eight), 'must hold 16 bytes of data after its header, got 8. Is it truncated?'],
  ['JSON nested 100 deep', header(`{"x":{"y":${'['.repeat(100)}`), 'at most 64 levels'],
];

describe('parseSafetensors of a file that lies', () => {
  it.each(lies)('parseSafetensors(%s) throws one clear line', (_, file, message) => {
    const error = thrownBy(() => parseSafetensors(file));
    expect(error).toBeInstanceOf(ConfigError);
    expect(error.message).toContain(message);
    expect(error.message).toMatch(/^parseSafetensors: file[^\n]*$/);
  });

  it.each(['F128', 'f32', 'toString', '__proto__', ''])('parseSafetensors(dtype %j) throws UnsupportedError naming tensor and dtype', (dtype) => {
    const error = thrownBy(() => parseSafetensors(rawFile({ x: info(dtype, [2], 0, 8) }, eight)));
    expect(error).toBeInstanceOf(UnsupportedError);
    expect(error.message).toBe(`parseSafetensors: file: dtype of "x" must be one of the format, got ${JSON.stringify(dtype)}`);
  });

  it('parseSafetensors keeps a message short and on one line when a name is a novel', () => {
    const name = 'line\nbreak\u2028 '.repeat(1000);
    const error = thrownBy(() => parseSafetensors(rawFile({ [name]: info('F32', [3], 0, 8) }, eight)));
    expect(error.message.length).toBeLessThan(400);
    expect(error.message).not.toMatch(/[\n\u2028]/);
  });
});

function thrownBy(work: () => unknown): Error {
  try {
    work();
  } catch (error) {
    return error as Error;
  }
  throw new Error('nothing was thrown');
}
