import { add, reshape, sum, tensor, type GradConfig, type NamedAttrMap, type Tensor } from '@tensorflow/tfjs-core';

/** Reads an input of the kernel by its name; an optional input may be absent. */
type ReadInput = (name: string) => Tensor | undefined;

/** What a table of gradients is made of; attrs are the kernel's own. */
export type Attrs = NamedAttrMap;
export type Shape = readonly number[];

/** attr — one attribute of a kernel, with the type that tfjs documents for it. */
export const attr = <T>(attrs: Attrs, name: string): T => attrs[name] as unknown as T;

/**
 * inputList — an `inputsToSave` that decides at run time what to keep.
 *
 * tfjs reads the list only as `inputsToSave.map(name => inputs[name])` and keeps references to what that returns.
 */
function inputList(choose: (read: ReadInput) => Tensor[]): string[] {
  return Object.assign([] as string[], { map: choose }) as string[];
}

/** presentInputs — keeps those of the named inputs that are there; tfjs' own list crashes on an absent one. */
export function presentInputs(...names: string[]): string[] {
  return inputList((read) => names.map(read).filter((input): input is Tensor => input !== undefined && input !== null));
}

/**
 * shapesOf — keeps the shapes of the named inputs without their values, so that a sum, a slice or a bias does not hold a whole
 * activation until the backward pass. A shape travels as an empty tensor of shape `0 ...shape`; `shapeOf` reads it.
 */
export function shapesOf(...names: string[]): string[] {
  return inputList((read) => names.map((name) => shapeCarrier(read(name) as Tensor)));
}

/** shapesAndValues — the shapes of some inputs, then the values of others. */
export function shapesAndValues(shapes: string[], values: string[]): string[] {
  return inputList((read) => [...shapes.map((name) => shapeCarrier(read(name) as Tensor)), ...values.map((name) => read(name) as Tensor)]);
}

/** shapesOfAll — `shapesOf` for kernels whose inputs are a list. */
export function shapesOfAll(): string[] {
  return inputList((read) => {
    const count = read('length') as unknown as number;
    return Array.from({ length: count }, (_, index) => shapeCarrier(read(String(index)) as Tensor));
  });
}

/** broadcastShapes — the shapes of `a` and `b` if they differ, and nothing if they are equal. */
export function broadcastShapes(): string[] {
  return inputList((read) => {
    const [a, b] = [read('a') as Tensor, read('b') as Tensor];
    return sameShape(a.shape, b.shape) ? [] : [shapeCarrier(a), shapeCarrier(b)];
  });
}

const shapeCarrier = ({ shape }: Tensor): Tensor => tensor(new Float32Array(0), [0, ...shape], 'float32');

/** shapeOf — the shape that a tensor kept by `shapesOf` stands for. */
export const shapeOf = (carrier: Tensor): number[] => carrier.shape.slice(1);

export const sameShape = (a: Shape, b: Shape): boolean => a.length === b.length && a.every((size, axis) => size === b[axis]);

/** sumTo — sums `x` over the axes along which a tensor of `shape` was broadcast. */
export function sumTo(x: Tensor, shape: Shape): Tensor {
  if (sameShape(x.shape, shape)) return x;
  const missing = x.shape.length - shape.length;
  const axes = x.shape.map((_, axis) => axis).filter((axis) => axis < missing || (shape[axis - missing] === 1 && x.shape[axis] !== 1));
  return reshape(axes.length === 0 ? x : sum(x, axes), [...shape]);
}

/** unary — a kernel of one input `x`; the gradient needs `x`. */
export function unary(kernelName: string, dx: (dy: Tensor, x: Tensor, attrs: Attrs) => Tensor): GradConfig {
  return {
    kernelName,
    inputsToSave: ['x'],
    gradFunc: (dy, [x], attrs) => ({ x: () => dx(dy as Tensor, x as Tensor, attrs) }),
  };
}

/** fromOutput — a kernel of one input whose gradient needs the output only, which a later operation usually keeps anyway. */
export function fromOutput(kernelName: string, dx: (dy: Tensor, y: Tensor, attrs: Attrs) => Tensor, input = 'x'): GradConfig {
  return {
    kernelName,
    outputsToSave: [true],
    gradFunc: (dy, [y], attrs) => ({ [input]: () => dx(dy as Tensor, y as Tensor, attrs) }),
  };
}

/** linear — a kernel of one input whose gradient needs no values. */
export function linear(kernelName: string, dx: (dy: Tensor, attrs: Attrs) => Tensor, input = 'x'): GradConfig {
  return { kernelName, gradFunc: (dy, _, attrs) => ({ [input]: () => dx(dy as Tensor, attrs) }) };
}

/** fromShape — a kernel of one input whose gradient needs the shape of the input. */
export function fromShape(kernelName: string, dx: (dy: Tensor, shape: number[], attrs: Attrs) => Tensor, input = 'x'): GradConfig {
  return {
    kernelName,
    inputsToSave: shapesOf(input),
    gradFunc: (dy, [carrier], attrs) => ({ [input]: () => dx(dy as Tensor, shapeOf(carrier as Tensor), attrs) }),
  };
}

type BinaryGradient = (dy: Tensor, a: Tensor, b: Tensor) => Tensor;

/** binary — a broadcasting kernel of `a` and `b`; results are summed to the shape of their operand. */
export function binary(kernelName: string, da: BinaryGradient, db: BinaryGradient, names: readonly [string, string] = ['a', 'b']): GradConfig {
  return {
    kernelName,
    inputsToSave: [...names],
    gradFunc: (dy, saved) => {
      const [a, b] = saved as [Tensor, Tensor];
      return {
        [names[0]]: () => sumTo(da(dy as Tensor, a, b), a.shape),
        [names[1]]: () => sumTo(db(dy as Tensor, a, b), b.shape),
      };
    },
  };
}

/** linearBinary — a broadcasting kernel such as Add, whose gradients do not depend on the operands' values. */
export function linearBinary(kernelName: string, da: (dy: Tensor) => Tensor, db: (dy: Tensor) => Tensor): GradConfig {
  return {
    kernelName,
    inputsToSave: broadcastShapes(),
    gradFunc: (dy, saved) => {
      const [a, b] = saved.length === 0 ? [(dy as Tensor).shape, (dy as Tensor).shape] : saved.map(shapeOf);
      return {
        a: () => da(sumTo(dy as Tensor, a as number[])),
        b: () => db(sumTo(dy as Tensor, b as number[])),
      };
    },
  };
}

/** addAll — the sum of tensors of one shape. */
export const addAll = (tensors: readonly Tensor[]): Tensor => tensors.reduce((total, each) => add(total, each));
