import { gpuProgram, memoised, type GpuBackend, type GpuProgram } from '@evenkeel/core-tensor';
import { backend_util, util, type DataType, type TensorInfo } from '@tensorflow/tfjs-core';
import { INVOCATIONS, overVectors } from './elementwise.ts';
import { axisUniforms, axisValues, broadcastAxes, MAX_AXES, walk } from './strided.ts';
import { WGSL_IS_NAN } from './wgsl.ts';

/** Word — what the elements of a tensor are on the device: bool is `i32`. */
export type Word = 'f32' | 'i32';

/** BinaryOp — an elementwise function of two tensors in WGSL, of vectors of four as well as of numbers: `V`, its bits `W` and the result's type `R`. */
export type BinaryOp = {
  readonly name: string;
  readonly word: Word;
  readonly result: Word;
  /** The body of `fn operation(a: V, b: V) -> R`. */
  readonly body: string;
};

/** What an operand is to a result read in vectors of four: `all` of it, one element, a row that repeats, a number per row. */
type Form = 'all' | 'one' | 'row' | 'column';

const types = (word: Word, width: 1 | 4): string => (width === 1 ? word : `vec4<${word}>`);

function declarations({ word, result, body }: BinaryOp, width: 1 | 4): string {
  return /* wgsl */ `
    alias V = ${types(word, width)};
    alias R = ${types(result, width)};
    ${WGSL_IS_NAN(width)}
    fn operation(a: V, b: V) -> R { ${body} }`;
}

/** One vector per invocation; vectors that end beyond the result's end carry what stands there along, into the padding. */
function wideProgram(op: BinaryOp, formA: Form, formB: Form): GpuProgram {
  const element = (form: Form): string => (form === 'all' || form === 'row' ? `vec4${op.word === 'f32' ? 'f' : 'i'}` : op.word);
  const value = (name: 'a' | 'b', form: Form): string => ({
    all: `${name}[index]`, one: `V(${name}[0])`, row: `${name}[index % u.${name}Vectors]`, column: `V(${name}[index / u.${name}Vectors])`,
  })[form];
  return gpuProgram({
    name: op.name,
    bindings: { a: `read ${element(formA)}` as 'read f32', b: `read ${element(formB)}` as 'read f32', y: op.result === 'f32' ? 'write vec4f' : 'write vec4i' },
    uniforms: { vectors: 'u32', aVectors: 'u32', bVectors: 'u32' },
    workgroupSize: INVOCATIONS,
    declarations: declarations(op, 4),
    main: `if (index < u.vectors) { y[index] = operation(${value('a', formA)}, ${value('b', formB)}); }`,
  });
}

/** One element per invocation, any strides. */
function stridedProgram(op: BinaryOp, axes: number): GpuProgram {
  return gpuProgram({
    name: op.name,
    bindings: { a: `read ${op.word}`, b: `read ${op.word}`, y: `write ${op.result}` },
    uniforms: { count: 'u32', ...axisUniforms(axes, ['a', 'b']) },
    workgroupSize: INVOCATIONS,
    declarations: declarations(op, 1),
    main: /* wgsl */ `
      if (index >= u.count) { return; }
      var rest = i32(index);
      var atA = 0;
      var atB = 0;
      ${walk(axes, [['atA', 'a'], ['atB', 'b']])}
      y[index] = operation(a[atA], b[atB]);`,
  });
}

/**
 * broadcaster — runs an operation on two tensors whose shapes broadcast; undefined where they do so in too many ways for a
 * program of ours.
 */
export function broadcaster(op: BinaryOp): (backend: GpuBackend, a: TensorInfo, b: TensorInfo, dtype: DataType) => TensorInfo | undefined {
  const wide = memoised((formA: Form, formB: Form) => wideProgram(op, formA, formB));
  const strided = memoised((axes: number) => stridedProgram(op, axes));
  return (backend, a, b, dtype) => {
    const shape = util.arraysEqual(a.shape, b.shape) ? a.shape : backend_util.assertAndGetBroadcastShape(a.shape, b.shape);
    const count = util.sizeFromShape(shape);
    const [formA, formB] = [formOf(a.shape, shape, count), formOf(b.shape, shape, count)];
    if (formA !== undefined && formB !== undefined) {
      const y = backend.allocate(shape, dtype);
      const { vectors, groups } = overVectors(backend, count);
      const uniforms = { vectors, aVectors: formA.vectors, bVectors: formB.vectors };
      backend.dispatch(wide(formA.form, formB.form), { tensors: { a, b, y }, uniforms, groups });
      return y;
    }
    const axes = broadcastAxes(shape, a.shape, b.shape);
    if (axes.length > MAX_AXES) return undefined;
    const y = backend.allocate(shape, dtype);
    const uniforms = { count, ...axisValues(axes, ['a', 'b']) };
    backend.dispatch(strided(axes.length), { tensors: { a, b, y }, uniforms, groups: backend.spread(Math.ceil(count / INVOCATIONS)) });
    return y;
  };
}

const ALL = { form: 'all', vectors: 1 } as const;
const ONE = { form: 'one', vectors: 1 } as const;

/** How `shape` stands in `full`, of `count` elements, with the vectors of four after which it repeats or moves on; undefined: in no simple way. */
function formOf(shape: readonly number[], full: readonly number[], count: number): { form: Form; vectors: number } | undefined {
  const size = util.sizeFromShape(shape as number[]);
  if (size === count) return ALL;
  if (size === 1) return ONE;
  const offset = full.length - shape.length;
  const isWhole = (axis: number): boolean => shape[axis] === full[axis + offset];
  let first = 0;
  while (shape[first] === 1) first++;
  let end = shape.length;
  while (shape[end - 1] === 1) end--;
  for (let axis = first; axis < end; axis++) if (!isWhole(axis)) return undefined;
  const isRow = end === shape.length || shape.slice(end).every((_, i) => isWhole(end + i));
  if (isRow) return size % 4 === 0 ? { form: 'row', vectors: size / 4 } : undefined;
  const repeats = util.sizeFromShape(full.slice(end + offset) as number[]);
  const isColumn = size * repeats === count && repeats % 4 === 0;
  return isColumn ? { form: 'column', vectors: repeats / 4 } : undefined;
}
