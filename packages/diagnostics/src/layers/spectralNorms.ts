import { checkInteger, ConfigError, randomNormal, foldSeed, treeEntries, type ParamSpec, type Tree } from '@evenkeel/core-tensor';
import { concat, div, dispose, matMul, maximum, norm, reshape, slice, tidy, type Tensor, type Tensor2D } from '@tensorflow/tfjs-core';

export type SpectralNormsOptions = {
  /** Steps of the power iteration. Default 100: about four digits for random matrices of 1000 rows, more for trained ones. */
  readonly iterations?: number;
};

/**
 * spectralNorms — the largest singular value of every weight matrix, by power iteration from a fixed start.
 *
 *     v ← Wᵀ W v / ‖Wᵀ W v‖,   σ = ‖W v‖, which approaches the norm from below
 *
 * @param params  the parameters of a model.
 * @param specs   the tree of its specs: embeddings, norms and whatever has one axis are left out; further axes count as inputs, as in convolutions.
 * @returns       by path, one norm for each of the spec's `parts` (q, k and v of one projection), or one.
 * @throws ConfigError  if `iterations` is no positive integer, or `params` lacks a parameter of `specs`.
 *
 * Source: the quantity that Zhai et al. 2023, arXiv:2303.06296, bound attention entropy by.
 */
export async function spectralNorms(params: Tree<Tensor>, specs: Tree<ParamSpec>, { iterations = 100 }: SpectralNormsOptions = {}): Promise<Record<string, number[]>> {
  checkInteger('spectralNorms', 'iterations', iterations);
  const leaves = new Map(treeEntries<Tensor>(params));
  const matrices = treeEntries<ParamSpec>(specs).filter(([, { shape, role }]) => shape.length >= 2 && role !== 'embedding');
  const found = matrices.map(([path, spec]) => {
    const leaf = leaves.get(path);
    if (leaf === undefined) throw new ConfigError(`spectralNorms: params must have ${path}, got ${leaves.size} others`);
    return [path, leaf, spec] as const;
  });
  const norms: [string, number[]][] = [];
  for (const [path, leaf, { parts }] of found) {
    const values = tidy(() => concat(partsOf(leaf, parts).map((part, i) => reshape(powerIteration(part, foldSeed(1, path, i), iterations), [1])))); // parts
    norms.push([path, Array.from(await values.data<'float32'>())]);
    dispose(values);
  }
  return Object.fromEntries(norms);
}

/** A weight as matrices `out in`, one for each of its parts. */
function partsOf(weight: Tensor, parts: readonly number[] = [weight.shape[0] as number]): Tensor2D[] {
  const rows = weight.shape[0] as number;
  const matrix = reshape(weight, [rows, weight.size / rows]) as Tensor2D;
  return parts.map((size, i) => slice(matrix, [parts.slice(0, i).reduce((sum, each) => sum + each, 0), 0], [size, -1]));
}

function powerIteration(w: Tensor2D, seed: number, iterations: number): Tensor {
  let v = tidy(() => unit(randomNormal([w.shape[1], 1], { seed }) as Tensor2D)); // in 1
  for (let i = 0; i < iterations; i++) {
    const next = tidy(() => unit(matMul(w, matMul(w, v), true, false)));
    v.dispose();
    v = next;
  }
  return norm(matMul(w, v));
}

/** 0 stays 0. */
const unit = (v: Tensor2D): Tensor2D => div(v, maximum(norm(v), 1e-30)) as Tensor2D;
