import * as tf from '@tensorflow/tfjs-core';
import { ConfigError, einsum, ShapeError } from '@evenkeel/core-tensor';
import { expectClose, expectNoLeak, randomArray } from '@evenkeel/testing';
import { describe, expect, it } from 'vitest';
import { gradientTests } from './gradients/battery.ts';
import { normal } from './gradients/points.ts';

type Operand = { readonly shape: readonly number[]; readonly labels: string };

/** Sums over every assignment of the labels, in float64: the definition. Labels of size 1 broadcast. */
function einsum64(operands: readonly (Operand & { data: Float32Array })[], output: string, sizes: Record<string, number>): Float64Array {
  const all = Object.keys(sizes);
  const result = new Float64Array([...output].reduce((size, label) => size * (sizes[label] as number), 1));
  const flat = (labels: string, shape: readonly number[], at: Record<string, number>): number =>
    [...labels].reduce((index, label, axis) => index * (shape[axis] as number) + ((shape[axis] as number) === 1 ? 0 : (at[label] as number)), 0);
  const total = all.reduce((count, label) => count * (sizes[label] as number), 1);
  for (let step = 0; step < total; step++) {
    let rest = step;
    const at = Object.fromEntries(all.map((label) => {
      const index = rest % (sizes[label] as number);
      rest = Math.floor(rest / (sizes[label] as number));
      return [label, index];
    }));
    const product = operands.reduce((value, { labels, shape, data }) => value * (data[flat(labels, shape, at)] as number), 1);
    const place = flat(output, [...output].map((label) => sizes[label] as number), at);
    result[place] = (result[place] as number) + product;
  }
  return result;
}

/** Equation, what it says with every axis named, and the shapes. */
type EinsumCase = readonly [equation: string, named: string, ...shapes: number[][]];

const CASES: readonly EinsumCase[] = [
  ['ij,jk->ik', 'ij,jk->ik', [3, 4], [4, 5]],
  ['ij,kj->ik', 'ij,kj->ik', [3, 4], [5, 4]],
  ['ji,jk->ik', 'ji,jk->ik', [4, 3], [4, 5]],
  ['ij,jk', 'ij,jk->ik', [3, 4], [4, 5]],
  ['kj,ji', 'kj,ji->ik', [3, 4], [4, 5]],
  ['bqhd,bkhd->bhqk', 'bqhd,bkhd->bhqk', [2, 3, 2, 4], [2, 5, 2, 4]],
  ['bhqk,bkhd->bqhd', 'bhqk,bkhd->bqhd', [2, 2, 3, 5], [2, 5, 2, 4]],
  ['btc,hcd->bhtd', 'btc,hcd->bhtd', [2, 3, 4], [2, 4, 5]],
  ['ij->ji', 'ij->ji', [3, 5]],
  ['ij->j', 'ij->j', [3, 5]],
  ['ij->', 'ij->', [3, 5]],
  ['ii->i', 'ii->i', [4, 4]],
  ['ii', 'ii->', [4, 4]],
  ['bijbi->jb', 'bijbi->jb', [2, 3, 5, 2, 3]],
  ['i,j->ij', 'i,j->ij', [3], [4]],
  ['i,i->', 'i,i->', [65], [65]],
  ['ij,ij->ij', 'ij,ij->ij', [3, 4], [3, 4]],
  ['bi,bi->b', 'bi,bi->b', [3, 4], [3, 4]],
  ['ij,k->i', 'ij,k->i', [3, 4], [5]],
  [',ij->ij', ',ij->ij', [], [3, 4]],
  ['...ij,...jk->...ik', 'xyij,yjk->xyik', [2, 3, 4, 5], [3, 5, 1]],
  ['...i,...i->...', 'xi,xi->x', [1, 4], [3, 4]],
  ['...ij->...', 'abij->ab', [2, 3, 4, 5]],
  ['i...->...', 'iab->ab', [2, 3, 4]],
  ['ij,jk,kl->il', 'ij,jk,kl->il', [3, 4], [4, 5], [5, 2]],
  ['a,ab,b->', 'a,ab,b->', [3], [3, 4], [4]],
  ['ij,ik,il->jkl', 'ij,ik,il->jkl', [3, 2], [3, 4], [3, 5]],
  [' i j , j k -> i k ', 'ij,jk->ik', [3, 4], [4, 1]],
  ['ij,jk->ik', 'ij,jk->ik', [1, 1], [1, 1]],
  ['ij,jk->ik', 'ij,jk->ik', [65, 130], [130, 3]],
];

describe('einsum(equation, ...tensors)', () => {
  it.each(CASES.map(([equation, named, ...shapes]) => ({ equation, named, shapes })))("einsum('$equation') is the sum over all its labels", async ({ equation, named, shapes }) => {
    const [terms, output] = named.split('->') as [string, string];
    const operands = terms.split(',').map((labels, i) => {
      const shape = shapes[i] as number[];
      return { labels, shape, data: randomArray(shape.reduce((size, length) => size * length, 1), { seed: i + 1 }) };
    });
    const sizes: Record<string, number> = {};
    for (const { labels, shape } of operands) [...labels].forEach((label, axis) => { sizes[label] = Math.max(sizes[label] ?? 1, shape[axis] as number); });
    const tensors = operands.map(({ shape, data }) => tf.tensor(data, shape));
    const result = einsum(equation, ...tensors);
    expect(result.shape).toEqual([...output].map((label) => sizes[label]));
    await expectClose(result, einsum64(operands, output, sizes), { rtol: 1e-5, atol: 1e-5 });
    await expectNoLeak(() => einsum(equation, ...tensors));
  });

  it("einsum('ij->ij') returns a tensor of its own", () => {
    const x = normal([2, 3]);
    const y = einsum('ij->ij', x);
    expect(y).not.toBe(x);
    tf.dispose(y);
    expect(x.isDisposed).toBe(false);
  });

  it("einsum('bqhd,bkhd->bhqk') makes nothing larger than its operands and its result", async () => {
    const [q, k] = [normal([2, 16, 2, 32]), normal([2, 16, 2, 32])];
    const { kernels } = await tf.profile(() => einsum('bqhd,bkhd->bhqk', q, k));
    const sizes = kernels.flatMap((kernel) => kernel.outputShapes.map((shape) => (shape as number[]).reduce((size, length) => size * length, 1)));
    expect(Math.max(...sizes)).toBeLessThanOrEqual(q.size);
  });

  it("einsum('ij,jk,kl->il') multiplies the cheaper pair first", async () => {
    const [a, b, c] = [normal([50, 2]), normal([2, 50]), normal([50, 1])];
    const { kernels } = await tf.profile(() => einsum('ij,jk,kl->il', a, b, c));
    const sizes = kernels.flatMap((kernel) => kernel.outputShapes.map((shape) => (shape as number[]).reduce((size, length) => size * length, 1)));
    expect(Math.max(...sizes)).toBeLessThanOrEqual(100);
  });
});

gradientTests(CASES.filter(([, , ...shapes]) => shapes.flat().every((size) => size <= 5)).map(([equation, , ...shapes]) => ({
  name: `einsum('${equation}') of ${shapes.map((shape) => `[${shape.join(', ')}]`).join(', ')}`,
  op: (inputs) => einsum(equation, ...Object.values(inputs)),
  inputs: () => Object.fromEntries(shapes.map((shape, i) => [`x${i}`, normal(shape, i + 1)])),
  curved: shapes.length > 1,
})));

describe('einsum errors', () => {
  const matrix = (): tf.Tensor => tf.zeros([2, 3]);
  it.each([
    ['ij;jk->ik', "einsum: equation must be terms of letters such as 'ij,jk->ik', got 'ij;jk->ik'"],
    ['ij->i->j', "einsum: equation must be terms of letters such as 'ij,jk->ik', got 'ij->i->j'"],
    ['ij,jk->ik', 'einsum: equation must have one term per tensor, got 2 terms and 1 tensors'],
    ['ij->ik', "einsum: every label of the result must occur in a term, got k in 'ij->ik'"],
    ['ij->ii', "einsum: the labels of the result must differ, got 'ij->ii'"],
  ])("einsum('%s', x) explains what is wrong with the equation", (equation, message) => {
    const before = tf.memory().numTensors;
    const x = matrix();
    expect(() => einsum(equation, x)).toThrow(ConfigError);
    expect(() => einsum(equation, x)).toThrow(message);
    expect(tf.memory().numTensors).toBe(before + 1);
  });

  it('einsum(equation, ...tensors) names the axis that does not fit', () => {
    expect(() => einsum('ijk->i', matrix())).toThrow(ShapeError);
    expect(() => einsum('ijk->i', matrix())).toThrow("einsum: tensor 0 must have the axes 'ijk', got rank 2");
    expect(() => einsum('ij,jk->ik', matrix(), matrix())).toThrow('einsum: axis j of tensor 1 must have size 3, got 2');
    expect(() => einsum('ii->i', matrix())).toThrow('einsum: axis i of tensor 0 must have size 2, got 3');
  });
});
