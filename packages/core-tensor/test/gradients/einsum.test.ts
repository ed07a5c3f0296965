import * as tf from '@tensorflow/tfjs-core';
import { gradientTests, type OpCase } from './battery.ts';
import { normal } from './points.ts';

/** tfjs' own einsum kernel, whose gradient is registered by us. */
const kernel = (equation: string, ...shapes: readonly number[][]): OpCase => ({
  name: `tf.einsum('${equation}')`,
  op: (inputs) => tf.einsum(equation, ...Object.values(inputs)),
  inputs: () => Object.fromEntries(shapes.map((shape, i) => [`x${i}`, normal(shape, i + 1)])),
  curved: shapes.length > 1,
});

gradientTests([
  kernel('ij,jk->ik', [3, 4], [4, 5]),
  kernel('bqhd,bkhd->bhqk', [2, 3, 2, 4], [2, 5, 2, 4]),
  kernel('i,j->ij', [3], [4]),
  kernel('ij,ij->', [3, 4], [3, 4]),
  kernel('ij->ji', [3, 5]),
  kernel('ij->i', [3, 5]),
  kernel('ij,jk->i', [3, 4], [4, 5]),
]);
