import { ConfigError } from '@evenkeel/core-tensor';
import { unpacked, type BinarySource, type NamedBytes } from './binaryFile.ts';

export type IdxValues = Uint8Array | Int8Array | Int16Array | Int32Array | Float32Array | Float64Array;

/** IdxArray — `values` in row-major order; MNIST images are `b h w` bytes, 0 to 255, its labels `b`. */
export type IdxArray = { readonly shape: number[]; readonly values: IdxValues };

type Kind = { readonly width: number; readonly make: (count: number) => IdxValues; readonly at: (view: DataView, offset: number) => number };

const KINDS: Readonly<Record<number, Kind>> = {
  0x08: { width: 1, make: (count) => new Uint8Array(count), at: (view, offset) => view.getUint8(offset) },
  0x09: { width: 1, make: (count) => new Int8Array(count), at: (view, offset) => view.getInt8(offset) },
  0x0b: { width: 2, make: (count) => new Int16Array(count), at: (view, offset) => view.getInt16(offset) },
  0x0c: { width: 4, make: (count) => new Int32Array(count), at: (view, offset) => view.getInt32(offset) },
  0x0d: { width: 4, make: (count) => new Float32Array(count), at: (view, offset) => view.getFloat32(offset) },
  0x0e: { width: 8, make: (count) => new Float64Array(count), at: (view, offset) => view.getFloat64(offset) },
};

/**
 * readIdx — an array in the IDX format of MNIST and its relatives, packed with gzip or not.
 *
 * The file: two zero bytes, one for the type of the values, one for the number of axes; the sizes as big-endian uint32; the values, big-endian.
 *
 * @param source  path of a file, or its bytes: those of `dataset('mnist-t10k-images')`.
 * @throws ConfigError  if it is no IDX file, or has more or fewer bytes than its header says.
 */
export async function readIdx(source: BinarySource): Promise<IdxArray> {
  const file = await unpacked('readIdx', source);
  const { kind, shape, start } = parseHeader(file);
  const { name, bytes } = file;
  const count = shape.reduce((product, size) => product * size, 1);
  const wanted = start + count * kind.width;
  if (bytes.length !== wanted) throw new ConfigError(`readIdx: ${name} must have ${wanted} bytes for the shape [${shape.join(', ')}], got ${bytes.length}. Is it truncated?`);
  const values = kind.make(count);
  if (kind.width === 1) values.set(new Int8Array(bytes.buffer, bytes.byteOffset + start, count)); // two's complement fits either sign
  else {
    const view = new DataView(bytes.buffer, bytes.byteOffset + start);
    for (let i = 0; i < count; i++) values[i] = kind.at(view, i * kind.width);
  }
  return { shape, values };
}

function parseHeader({ name, bytes }: NamedBytes): { kind: Kind; shape: number[]; start: number } {
  const [zero, zeroToo, type = 0, rank = 0] = bytes;
  const kind = KINDS[type];
  const start = 4 + 4 * rank;
  if (zero !== 0 || zeroToo !== 0 || kind === undefined || rank === 0) {
    const got = Array.from(bytes.subarray(0, 4), (byte) => byte.toString(16).padStart(2, '0')).join(' ');
    throw new ConfigError(`readIdx: ${name} must begin with 00 00, a type of 08 to 0e and a number of axes, got ${got || 'nothing'}`);
  }
  if (bytes.length < start) throw new ConfigError(`readIdx: ${name} must have ${start} bytes for its ${rank} sizes, got ${bytes.length}. Is it truncated?`);
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  return { kind, shape: Array.from({ length: rank }, (_, axis) => view.getUint32(4 + 4 * axis)), start };
}
