import type { BackendValues, DataType } from '@tensorflow/tfjs-core';

/** wordsOf — values as the device holds them: one 32-bit word per element. */
export function wordsOf(values: BackendValues, dtype: DataType): Int32Array<ArrayBuffer> | Float32Array<ArrayBuffer> {
  const Words = dtype === 'int32' || dtype === 'bool' ? Int32Array : Float32Array;
  return (values instanceof Words ? values : Words.from(values as ArrayLike<number>)) as Int32Array<ArrayBuffer> | Float32Array<ArrayBuffer>;
}
