import { engine, type NamedAttrMap, type NamedTensorMap, type Tensor } from '@tensorflow/tfjs-core';

/** run — the results of a kernel `evenkeel/…`. */
export function run(name: string, inputs: NamedTensorMap, attrs: object = {}): Tensor[] {
  return [engine().runKernel(`evenkeel/${name}`, inputs, attrs as NamedAttrMap)].flat() as Tensor[];
}
