import { ConfigError, UnsupportedError } from '@evenkeel/core-tensor';
import { parseSafetensors, serializeSafetensors, type Entries } from '@evenkeel/checkpoint';
import { describe, expect, it } from 'vitest';
import { everyDtype, f32 } from './helpers.ts';

const headerText = (file: Uint8Array): string => new TextDecoder().decode(file.subarray(8, 8 + Number(new DataView(file.buffer).getBigUint64(0, true))));

describe('serializeSafetensors', () => {
  it('serializeSafetensors(parseSafetensors(file)) is the same file, for every dtype and with metadata', () => {
    const first = serializeSafetensors(everyDtype, { metadata: { format: 'pt', note: 'é"\n' } });
    const { tensors, metadata } = parseSafetensors(first);
    const second = serializeSafetensors(tensors, { metadata });
    expect(Buffer.compare(first, second)).toBe(0);
  });

  it('serializeSafetensors puts metadata first, wide dtypes before narrow, then names in order, and pads with spaces to 8 bytes', () => {
    const file = serializeSafetensors(
      { b: f32([1], 1), narrow: { dtype: 'U8', shape: [3], data: Uint8Array.of(1, 2, 3) }, a: f32([1], 2), wide: { dtype: 'I64', shape: [1], data: BigInt64Array.of(1n) } },
      { metadata: { format: 'pt' } },
    );
    const text = headerText(file);
    expect(text).toMatch(/^\{"__metadata__":\{"format":"pt"\},"wide":.*"a":.*"b":.*"narrow":.*\} *$/);
    expect(text.length % 8).toBe(0);
    const { tensors } = parseSafetensors(file);
    for (const { data } of Object.values(tensors)) expect(data.buffer).toBe(file.buffer);
  });

  it('serializeSafetensors({}) is a file of an empty header', () => {
    expect(headerText(serializeSafetensors({}))).toBe('{}      ');
  });

  it('serializeSafetensors takes a view into a larger array', () => {
    const values = Float32Array.of(9, 1, 2, 9);
    const file = serializeSafetensors({ x: { dtype: 'F32', shape: [2], data: values.subarray(1, 3) } });
    expect(parseSafetensors(file).tensors['x']).toEqual(f32([2], 1, 2));
  });

  it.runIf('Float16Array' in globalThis)('serializeSafetensors takes a Float16Array for F16', () => {
    const half = Reflect.construct((globalThis as never)['Float16Array'], [[1, -2]]) as Uint16Array;
    const file = serializeSafetensors({ x: { dtype: 'F16', shape: [2], data: half } });
    expect(parseSafetensors(file).tensors['x']?.data).toEqual(Uint16Array.of(0x3c00, 0xc000));
  });

  const wrong: [what: string, tensors: unknown, message: string][] = [
    ['data of another length', { x: f32([3], 1, 2) }, 'data of "x" must have 12 bytes for F32 [3], got 8 bytes'],
    ['a Float64Array for F32', { x: { dtype: 'F32', shape: [1], data: Float64Array.of(1) } }, 'data of "x" must be a Float32Array for F32, got Float64Array'],
    ['an array for F32', { x: { dtype: 'F32', shape: [1], data: [1] } }, 'data of "x" must be a Float32Array for F32, got object'],
    ['no data', { x: { dtype: 'F32', shape: [1] } }, 'data of "x" must be a Float32Array for F32, got undefined'],
    ['a negative size', { x: { dtype: 'F32', shape: [-1], data: new Float32Array(0) } }, 'shape of "x" must hold integers ≥ 0, got "-1"'],
    ['a shape that overflows', { x: { dtype: 'F32', shape: [2 ** 40, 2 ** 40], data: new Float32Array(0) } }, 'a shape whose product overflows'],
    ['the name __metadata__', { __metadata__: f32([], 1) }, 'must not be "__metadata__"'],
    ['a name that is no text', { '\ud800': f32([], 1) }, 'must be well-formed text'],
  ];
  it.each(wrong)('serializeSafetensors(%s) throws ConfigError', (_, tensors, message) => {
    expect(() => serializeSafetensors(tensors as Entries)).toThrow(ConfigError);
    expect(() => serializeSafetensors(tensors as Entries)).toThrow(message);
  });

  it('serializeSafetensors(dtype F128) throws UnsupportedError', () => {
    const tensors = { x: { dtype: 'F128', shape: [1], data: Float32Array.of(1) } } as unknown as Entries;
    expect(() => serializeSafetensors(tensors)).toThrow(UnsupportedError);
  });

  it('serializeSafetensors(metadata that is no string) throws ConfigError naming the key', () => {
    expect(() => serializeSafetensors({}, { metadata: { step: 3 as unknown as string } })).toThrow('metadata "step" must be a well-formed string, got "3"');
  });
});
