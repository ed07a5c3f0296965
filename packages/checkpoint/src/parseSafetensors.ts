import { UnsupportedError } from '@evenkeel/core-tensor';
import { viewAs } from './dtypes.ts';
import { emptyRecord, type SafetensorsEntry } from './entry.ts';
import { parseHeader, readHeaderLength } from './header.ts';

/** Safetensors — the content of a file: tensors by name, and the metadata strings. */
export type Safetensors = {
  readonly tensors: Record<string, SafetensorsEntry>;
  readonly metadata: Readonly<Record<string, string>>;
};

/**
 * parseSafetensors — reads a safetensors file that is in memory.
 *
 * Nothing is copied where a tensor lies aligned in `bytes`: its `data` is then a view, so leave `bytes` unchanged.
 *
 * @param bytes  the whole file.
 * @returns      tensors by name (a record without prototype) and metadata.
 * @throws ConfigError       if `bytes` breaks a rule of the format: the message names the tensor and the rule.
 * @throws UnsupportedError  if a dtype is unknown.
 *
 * Source: the format description and reference parser of huggingface/safetensors.
 */
export function parseSafetensors(bytes: Uint8Array): Safetensors {
  const where = 'parseSafetensors: file';
  checkByteOrder('parseSafetensors');
  const headerLength = readHeaderLength(where, bytes, bytes.byteLength);
  const data = bytes.subarray(8 + headerLength);
  const { tensors: infos, metadata } = parseHeader(where, bytes.subarray(8, 8 + headerLength), data.byteLength);
  const tensors = emptyRecord<SafetensorsEntry>();
  for (const [name, { dtype, shape, begin, end }] of infos) {
    tensors[name] = { dtype, shape, data: viewAs(dtype, data.subarray(begin, end)) };
  }
  return { tensors, metadata };
}

/** checkByteOrder — the format is little-endian and so are all typed arrays on the machines we know; elsewhere we refuse. */
export function checkByteOrder(fn: string): void {
  if (new Uint8Array(Uint16Array.of(1).buffer)[0] !== 1) throw new UnsupportedError(`${fn}: needs a little-endian machine, got a big-endian one`);
}
