import { Tensor } from '@tensorflow/tfjs-core';

export type Numbers = Float32Array | Float64Array | Int32Array | Uint32Array | Uint8Array | readonly number[];
/** What a comparison accepts: a tensor, a typed array, a number, or nested arrays of numbers. */
export type Values = Tensor | Numbers | number | readonly Values[];

/** Flat numbers and their shape; `shape` is unknown for a typed array, which may stand for any shape of its length. */
export type FlatValues = { data: Float64Array; shape: readonly number[] | undefined };

/**
 * readValues — the numbers of a tensor, array or number, as float64, without creating or freeing a tensor.
 *
 * @throws Error if nested arrays are ragged or hold anything but numbers.
 */
export async function readValues(values: Values): Promise<FlatValues> {
  if (values instanceof Tensor) return { data: Float64Array.from(await values.data()), shape: values.shape };
  if (ArrayBuffer.isView(values)) return { data: Float64Array.from(values as Float32Array), shape: undefined };
  if (typeof values === 'number') return { data: Float64Array.of(values), shape: [] };
  if (!Array.isArray(values)) throw new Error(`readValues: values must be a tensor, array or number, got ${String(values)}`);
  return readNested(values as readonly Values[]);
}

async function readNested(values: readonly Values[]): Promise<FlatValues> {
  const parts = await Promise.all(values.map(readValues));
  const inner = parts[0]?.shape;
  for (const part of parts) {
    if (String(part.shape) !== String(inner) || part.data.length !== parts[0]!.data.length) {
      throw new Error(`readValues: nested arrays must be regular, got parts of shape [${inner}] and [${part.shape}]`);
    }
  }
  const data = new Float64Array(parts.reduce((sum, part) => sum + part.data.length, 0));
  let offset = 0;
  for (const part of parts) {
    data.set(part.data, offset);
    offset += part.data.length;
  }
  return { data, shape: inner === undefined && parts.length > 0 ? undefined : [parts.length, ...(inner ?? [])] };
}

/** The position of a flat index in a shape, for messages: `[1, 0, 3]`. */
export function unflatten(index: number, shape: readonly number[] | undefined): string {
  if (shape === undefined) return `[${index}]`;
  const position: number[] = [];
  let rest = index;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    position.unshift(rest % shape[axis]!);
    rest = Math.floor(rest / shape[axis]!);
  }
  return `[${position.join(', ')}]`;
}

/** A shape, for messages. */
export function showShape(values: FlatValues): string {
  return values.shape === undefined ? `${values.data.length} numbers` : `[${values.shape.join(', ')}]`;
}
