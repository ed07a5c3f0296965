import { clone, matMul, mul, pad, reshape, slice, sum, tidy, transpose, type Tensor } from '@tensorflow/tfjs-core';
import { ConfigError, ShapeError } from './errors.ts';

/** A tensor whose axes have names; no name twice. */
type Named = { readonly tensor: Tensor; readonly labels: readonly string[] };
type Equation = { readonly terms: readonly (readonly string[])[]; readonly output: readonly string[] };

/**
 * einsum — sums of products over named axes: `einsum('bqhd,bkhd->bhqk', q, k)`.
 *
 * Operands are combined in pairs, the cheapest pair first, each by one batched matrix product; nothing larger than an operand
 * or the result of a pair is ever made (tfjs' own einsum multiplies over all axes at once and sums afterwards). A label that
 * occurs twice in one operand takes its diagonal; `...` stands for leading axes that broadcast; axes of size 1 broadcast;
 * without `->` the result has the labels that occur once, in alphabetical order. Differentiable any number of times.
 *
 * @param equation  one comma-separated term per tensor and, after `->`, the labels of the result.
 * @param tensors   float32; borrowed.
 * @returns         a new tensor, owned by the caller.
 * @throws ConfigError  if the equation is malformed.
 * @throws ShapeError   if a tensor does not fit its term.
 */
export function einsum(equation: string, ...tensors: readonly Tensor[]): Tensor {
  const { terms, output } = parseEquation(equation, tensors.map(({ shape }) => shape.length));
  const sizes = sizesOf(terms, tensors);
  return tidy('einsum', () => {
    let operands = terms.map((labels, i) => withoutBroadcast(diagonal({ tensor: tensors[i] as Tensor, labels }), sizes));
    while (operands.length > 1) {
      const [i, j] = cheapestPair(operands, sizes);
      const others = operands.filter((_, index) => index !== i && index !== j);
      const kept = new Set([...output, ...others.flatMap(({ labels }) => labels)]);
      operands = [...others, contract(operands[i] as Named, operands[j] as Named, kept)];
    }
    const result = arrange(sumOut(operands[0] as Named, (label) => !output.includes(label)), output).tensor;
    return tensors.includes(result) ? clone(result) : result;
  });
}

function parseEquation(equation: string, ranks: readonly number[]): Equation {
  const text = equation.replace(/\s/g, '');
  const [left = '', right, ...rest] = text.split('->');
  const inputs = left.split(',');
  const isValid = (term: string): boolean => /^[A-Za-z]*(\.\.\.)?[A-Za-z]*$/.test(term);
  if (rest.length > 0 || !inputs.every(isValid) || (right !== undefined && !isValid(right))) {
    throw new ConfigError(`einsum: equation must be terms of letters such as 'ij,jk->ik', got '${equation}'`);
  }
  if (inputs.length !== ranks.length) {
    throw new ConfigError(`einsum: equation must have one term per tensor, got ${inputs.length} terms and ${ranks.length} tensors`);
  }
  const hidden = inputs.map((term, i) => hiddenAxes(term, ranks[i] as number, i));
  const widest = Math.max(0, ...hidden);
  const terms = inputs.map((term, i) => labelsOf(term, hidden[i] as number, widest));
  const letters = inputs.join('').replaceAll('.', '').split('');
  const once = letters.filter((letter) => letter !== '' && letters.indexOf(letter) === letters.lastIndexOf(letter)).sort();
  const output = labelsOf(right ?? `...${once.join('')}`, widest, widest);
  const unknown = output.find((label) => !terms.some((term) => term.includes(label)));
  if (unknown !== undefined) throw new ConfigError(`einsum: every label of the result must occur in a term, got ${unknown} in '${equation}'`);
  if (new Set(output).size < output.length) throw new ConfigError(`einsum: the labels of the result must differ, got '${equation}'`);
  return { terms, output };
}

/** How many axes `...` stands for in a term. */
function hiddenAxes(term: string, rank: number, index: number): number {
  const named = term.replace('...', '').length;
  const fits = term.includes('...') ? rank >= named : rank === named;
  if (!fits) throw new ShapeError(`einsum: tensor ${index} must have the axes '${term}', got rank ${rank}`);
  return rank - named;
}

/** One label per axis; those behind `...` are counted so that they align on the right, as broadcasting does. */
function labelsOf(term: string, hidden: number, widest: number): string[] {
  const [before = '', after] = term.split('...');
  const ellipsis = after === undefined ? [] : Array.from({ length: hidden }, (_, i) => `.${widest - hidden + i}`);
  return [...before, ...ellipsis, ...(after ?? '')];
}

function sizesOf(terms: readonly (readonly string[])[], tensors: readonly Tensor[]): ReadonlyMap<string, number> {
  const sizes = new Map<string, number>();
  terms.forEach((labels, i) => labels.forEach((label, axis) => {
    const [known, size] = [sizes.get(label) ?? 1, (tensors[i] as Tensor).shape[axis] as number];
    if (known !== 1 && size !== 1 && known !== size) {
      throw new ShapeError(`einsum: axis ${label} of tensor ${i} must have size ${known}, got ${size}`);
    }
    sizes.set(label, known === 1 ? size : known);
  }));
  return sizes;
}

const sizeOf = (labels: readonly string[], sizes: ReadonlyMap<string, number>): number =>
  labels.reduce((product, label) => product * (sizes.get(label) as number), 1);

/** The pair whose product costs the fewest multiplications. */
function cheapestPair(operands: readonly Named[], sizes: ReadonlyMap<string, number>): [number, number] {
  const pairs = operands.flatMap((a, i) => operands.slice(i + 1).map((b, k) => ({
    pair: [i, i + 1 + k] as [number, number], cost: sizeOf([...new Set([...a.labels, ...b.labels])], sizes),
  })));
  return pairs.reduce((best, each) => (each.cost < best.cost ? each : best)).pair;
}

/** Drops axes of size 1 that stand for a longer axis of another operand. */
function withoutBroadcast({ tensor, labels }: Named, sizes: ReadonlyMap<string, number>): Named {
  const kept = labels.filter((label, axis) => tensor.shape[axis] === sizes.get(label));
  if (kept.length === labels.length) return { tensor, labels };
  return { tensor: reshape(tensor, kept.map((label) => sizes.get(label) as number)), labels: kept };
}

/** Replaces two axes of one label by their diagonal: every (n + 1)-th element of the `n n` matrix. */
function diagonal(operand: Named): Named {
  const { tensor, labels } = operand;
  const second = labels.findIndex((label, axis) => labels.indexOf(label) < axis);
  if (second < 0) return operand;
  const first = labels.indexOf(labels[second] as string);
  const size = tensor.shape[first] as number;
  if (tensor.shape[second] !== size) {
    throw new ShapeError(`einsum: both axes ${labels[second]} of a tensor must have one size, got ${size} and ${tensor.shape[second]}`);
  }
  const others = labels.map((_, axis) => axis).filter((axis) => axis !== first && axis !== second);
  const rows = tensor.size / Math.max(1, size * size);
  const flat = reshape(transpose(tensor, [...others, first, second]), [rows, size * size]);
  const column = slice(reshape(pad(flat, [[0, 0], [0, size]]), [rows, size, size + 1]), [0, 0, 0], [rows, size, 1]);
  const shape = [...others.map((axis) => tensor.shape[axis] as number), size];
  return diagonal({ tensor: reshape(column, shape), labels: [...others.map((axis) => labels[axis] as string), labels[first] as string] });
}

function sumOut({ tensor, labels }: Named, isSummed: (label: string) => boolean): Named {
  const axes = labels.flatMap((label, axis) => (isSummed(label) ? [axis] : []));
  if (axes.length === 0) return { tensor, labels };
  return { tensor: sum(tensor, axes), labels: labels.filter((label) => !isSummed(label)) };
}

function arrange({ tensor, labels }: Named, order: readonly string[]): Named {
  if (labels.every((label, axis) => label === order[axis])) return { tensor, labels };
  return { tensor: transpose(tensor, order.map((label) => labels.indexOf(label))), labels: order };
}

/** The product of two operands, summed over the labels that they share and nobody else needs. */
function contract(first: Named, second: Named, kept: ReadonlySet<string>): Named {
  const a = sumOut(first, (label) => !kept.has(label) && !second.labels.includes(label));
  const b = sumOut(second, (label) => !kept.has(label) && !first.labels.includes(label));
  const shared = a.labels.filter((label) => b.labels.includes(label));
  const [batch, summed] = [shared.filter((label) => kept.has(label)), shared.filter((label) => !kept.has(label))];
  const [rows, columns] = [a, b].map(({ labels }) => labels.filter((label) => !shared.includes(label))) as [string[], string[]];
  const left = asMatrices(a, batch, rows, summed);
  const right = asMatrices(b, batch, columns, summed);
  const product = summed.length === 0
    ? mul(left.matrices, transpose(right.matrices, [0, 2, 1])) // b m 1 · b 1 n
    : matMul(left.matrices, right.matrices, left.isTransposed, !right.isTransposed);
  const lengths = new Map([...a.labels.map((label, i) => [label, a.tensor.shape[i]] as const), ...b.labels.map((label, i) => [label, b.tensor.shape[i]] as const)]);
  const labels = [...batch, ...rows, ...columns];
  return { tensor: reshape(product, labels.map((label) => lengths.get(label) as number)), labels };
}

/** `batch free summed` as three axes, or `batch summed free` if the axes already stand in that order. */
function asMatrices(operand: Named, batch: readonly string[], free: readonly string[], summed: readonly string[]): { matrices: Tensor; isTransposed: boolean } {
  const isTransposed = summed.length > 0 && free.length > 0 && [...batch, ...summed, ...free].every((label, axis) => label === operand.labels[axis]);
  const order = isTransposed ? [...batch, ...summed, ...free] : [...batch, ...free, ...summed];
  const { tensor } = arrange(operand, order);
  const length = (labels: readonly string[]): number => labels.reduce((product, label) => product * (tensor.shape[order.indexOf(label)] as number), 1);
  const [outer, inner] = isTransposed ? [summed, free] : [free, summed];
  return { matrices: reshape(tensor, [length(batch), length(outer), length(inner)]), isTransposed };
}
