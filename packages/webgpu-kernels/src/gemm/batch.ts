/**
 * BatchAxes — how the pairs of a product are counted: along up to four axes, outermost first. An operand's stride (in matrices)
 * is 0 along an axis that it repeats on.
 */
export type BatchAxes = { readonly sizes: Four; readonly a: Four; readonly b: Four };

type Four = readonly [number, number, number, number];

/** batchAxes — for the batch axes of two operands, which broadcast; axes that go together are taken as one. tfjs' ranks need no more than four. */
export function batchAxes(shapeA: readonly number[], shapeB: readonly number[]): BatchAxes {
  const rank = Math.max(shapeA.length, shapeB.length);
  const [a, b] = [withStrides(shapeA, rank), withStrides(shapeB, rank)];
  const axes: { size: number; a: number; b: number }[] = [];
  for (let axis = 0; axis < rank; axis++) {
    const size = Math.max(a.sizes[axis] as number, b.sizes[axis] as number);
    const next = { size, a: a.strides[axis] as number, b: b.strides[axis] as number };
    const last = axes.at(-1);
    if (size === 1) continue;
    if (last !== undefined && last.a === next.a * size && last.b === next.b * size) axes.splice(-1, 1, { ...next, size: last.size * size });
    else axes.push(next);
  }
  while (axes.length < 4) axes.unshift({ size: 1, a: 0, b: 0 });
  const four = (of: (axis: { size: number; a: number; b: number }) => number): Four => axes.map(of) as unknown as Four;
  return { sizes: four(({ size }) => size), a: four((axis) => axis.a), b: four((axis) => axis.b) };
}

function withStrides(shape: readonly number[], rank: number): { sizes: number[]; strides: number[] } {
  const sizes = [...new Array<number>(rank - shape.length).fill(1), ...shape];
  let stride = 1;
  const strides = sizes.map(() => 0);
  for (let axis = rank - 1; axis >= 0; axis--) {
    const size = sizes[axis] as number;
    if (size !== 1) strides[axis] = stride;
    stride *= size;
  }
  return { sizes, strides };
}
