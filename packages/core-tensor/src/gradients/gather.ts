import {
  add, cast, clipByValue, equal, gather, gatherND, greaterEqual, less, logicalAnd, mul, ones, range, reshape, scalar, scatterND, transpose,
  type GradConfig, type Tensor,
} from '@tensorflow/tfjs-core';
import { attr, shapeOf, shapesAndValues, shapesOf } from './config.ts';

const sizeOf = (shape: readonly number[]): number => shape.reduce((product, size) => product * size, 1);

/**
 * The gradient of gather: rows of `dy` added up where they were taken from. All batch entries share one scatter, whose cost is
 * the number of gathered elements (tfjs' segment sum would cost that times the length of the axis).
 */
function ungather(dy: Tensor, indices: Tensor, shape: number[], axis: number, batchDims: number): Tensor {
  const batch = sizeOf(shape.slice(0, batchDims));
  const [before, length, after] = [sizeOf(shape.slice(batchDims, axis)), shape[axis] as number, sizeOf(shape.slice(axis + 1))];
  const count = indices.size / Math.max(batch, 1);
  const rows = reshape(transpose(reshape(dy, [batch, before, count, after]), [0, 2, 1, 3]), [batch * count, before * after]);
  const offsets = mul(range(0, batch, 1, 'int32'), scalar(length, 'int32'));
  const places = add(reshape(cast(indices, 'int32'), [batch, count]), reshape(offsets, [batch, 1]));
  const sums = scatterND(reshape(places, [batch * count, 1]), rows, [batch * length, before * after]);
  return reshape(transpose(reshape(sums, [batch, length, before, after]), [0, 2, 1, 3]), shape);
}

/** gather(dy, ids), and 0 where an id is outside the segments: the forward pass dropped that element. */
function unsegment(dy: Tensor, ids: Tensor, numSegments: number): Tensor {
  const isInside = cast(logicalAnd(greaterEqual(ids, 0), less(ids, numSegments)), 'float32');
  const taken = gather(dy, cast(clipByValue(ids, 0, numSegments - 1), 'int32'));
  return mul(taken, reshape(isInside, [...ids.shape, ...Array<number>(taken.rank - ids.rank).fill(1)]));
}

/** The gradient of topk: values go back to the places along the last axis that they came from. */
function unpick(dy: Tensor, indices: Tensor, shape: number[]): Tensor {
  const length = shape[shape.length - 1] as number;
  const [rows, picked] = [sizeOf(shape) / Math.max(length, 1), indices.shape[indices.rank - 1] as number];
  const starts = mul(range(0, rows, 1, 'int32'), scalar(length, 'int32'));
  const places = add(reshape(indices, [rows, picked]), reshape(starts, [rows, 1]));
  return reshape(scatterND(reshape(places, [rows * picked, 1]), reshape(dy, [rows * picked]), [rows * length]), shape);
}

const axisOf = (axis: number, rank: number): number => (axis < 0 ? axis + rank : axis);

/** gatherGradients — kernels that read or write by index. */
export const gatherGradients: readonly GradConfig[] = [
  {
    kernelName: 'GatherV2',
    inputsToSave: shapesAndValues(['x'], ['indices']),
    gradFunc: (dy, saved, attrs) => {
      const [shape, indices] = [shapeOf(saved[0] as Tensor), saved[1] as Tensor];
      const [axis, batchDims] = [axisOf(attr<number>(attrs, 'axis'), shape.length), axisOf(attr<number>(attrs, 'batchDims'), indices.rank)];
      return { x: () => ungather(dy as Tensor, indices, shape, axis, batchDims) };
    },
  },
  {
    kernelName: 'GatherNd',
    inputsToSave: shapesAndValues(['params'], ['indices']),
    gradFunc: (dy, saved) => ({ params: () => scatterND(saved[1] as Tensor, dy as Tensor, shapeOf(saved[0] as Tensor)) }),
  },
  {
    kernelName: 'ScatterNd',
    inputsToSave: ['indices'],
    gradFunc: (dy, saved) => ({ updates: () => gatherND(dy as Tensor, saved[0] as Tensor) }),
  },
  {
    kernelName: 'TensorScatterUpdate',
    inputsToSave: shapesAndValues(['updates'], ['indices']),
    gradFunc: (dy, saved) => {
      const [shape, indices] = [shapeOf(saved[0] as Tensor), saved[1] as Tensor];
      return {
        // Not by tensorScatterUpdate: tfjs' CPU kernel writes into its argument.
        tensor: () => mul(dy as Tensor, cast(equal(scatterND(indices, ones(shape), (dy as Tensor).shape), 0), 'float32')),
        updates: () => gatherND(dy as Tensor, indices),
      };
    },
  },
  {
    kernelName: 'TopK',
    inputsToSave: shapesOf('x'),
    outputsToSave: [false, true],
    gradFunc: (dys, saved) => ({ x: () => unpick((dys as Tensor[])[0] as Tensor, saved[1] as Tensor, shapeOf(saved[0] as Tensor)) }),
  },
  {
    kernelName: 'UnsortedSegmentSum',
    inputsToSave: ['segmentIds'],
    gradFunc: (dy, saved, attrs) => ({ x: () => unsegment(dy as Tensor, saved[0] as Tensor, attr<number>(attrs, 'numSegments')) }),
  },
];
