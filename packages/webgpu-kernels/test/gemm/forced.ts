import type { GpuBackend } from '@evenkeel/core-tensor';
import { backend, engine, tensor, type Tensor, type TensorInfo } from '@tensorflow/tfjs-core';
import { gelu64, matMul64, randomArray, silu64 } from '@evenkeel/testing';
import type { EvenkeelWebgpuBackend } from '../../src/backend.ts';
import type { GemmActivation } from '../../src/gemm/activations.ts';
import type { BatchAxes } from '../../src/gemm/batch.ts';
import { gemm } from '../../src/gemm/gemm.ts';

export type Case = {
  m: number;
  n: number;
  k: number;
  transposeA?: boolean;
  transposeB?: boolean;
  scale?: number;
  bias?: boolean;
  activation?: GemmActivation;
  residual?: boolean;
  /** Entries of A, B and C, and how they go together; default one each. */
  batch?: { a: number; b: number; c: number; axes: BatchAxes; pairs: readonly (readonly [a: number, b: number])[] };
};

export type Outcome = { y: Float32Array; before: Float32Array | undefined; programs: string[]; could: boolean };

export const gpu = (): EvenkeelWebgpuBackend => backend() as unknown as EvenkeelWebgpuBackend;

/** The numbers of a case; matrices as the product means them, one after the other. */
export function operandsOf({ m, n, k, batch = { a: 1, b: 1, c: 1, pairs: [[0, 0]] } as unknown as NonNullable<Case['batch']> }: Case) {
  return {
    a: randomArray(batch.a * m * k, { seed: m + k }), b: randomArray(batch.b * k * n, { seed: n + 7 }),
    bias: randomArray(n, { seed: 3 }), residual: randomArray(batch.c * m * n, { seed: 4 }), pairs: batch.pairs,
  };
}

/** expected — in float64: the result, and what the activation was given. */
export function expected(each: Case): { y: Float64Array; before: Float64Array } {
  const { m, n, k, scale = 1, activation = 'linear' } = each;
  const { a, b, bias, residual, pairs } = operandsOf(each);
  const products = pairs.flatMap(([i, j]) => [...matMul64(a.subarray(i * m * k, (i + 1) * m * k), b.subarray(j * k * n, (j + 1) * k * n), { m, n, k })]);
  const before = Float64Array.from(products, (sum, i) => scale * sum + (each.bias ? bias[i % n]! : 0));
  return { before, y: ACTIVATIONS64[activation](before).map((value, i) => value + (each.residual ? residual[i]! : 0)) };
}

const ACTIVATIONS64: Record<GemmActivation, (x: Float64Array) => Float64Array> = {
  linear: (x) => x,
  relu: (x) => x.map((value) => Math.max(value, 0)),
  relu6: (x) => x.map((value) => Math.min(Math.max(value, 0), 6)),
  gelu: (x) => gelu64(x),
  geluTanh: (x) => gelu64(x, 'tanh'),
  silu: (x) => silu64(x),
};

/** run — a case by one variant; `could` tells whether the variant can compute it (else the static choice did). */
export async function run(variant: string, each: Case, change: (a: Float32Array, b: Float32Array) => void = () => {}): Promise<Outcome> {
  const { m, n, k, transposeA = false, transposeB = false, scale = 1, activation = 'linear', batch } = each;
  const operands = operandsOf(each);
  change(operands.a, operands.b);
  const outputs = (batch?.c ?? 1) * m * n;
  const inputs = {
    a: tensor(transposeA ? transposed(operands.a, m, k) : operands.a, [operands.a.length]),
    b: tensor(transposeB ? transposed(operands.b, k, n) : operands.b, [operands.b.length]),
    bias: tensor(operands.bias, [n]), residual: tensor(operands.residual, [outputs]),
  };
  const spy = forced(variant);
  const [y, before] = gpu().kernelCall('run', () => {
    const made = [gpu().allocate([outputs]), gpu().allocate([outputs])] as const;
    gemm(spy, {
      m, n, k, transposeA, transposeB, a: inputs.a, b: inputs.b, c: made[0], scale, activation, ...(batch && { batch: batch.axes }),
      ...(each.bias && { bias: inputs.bias }), ...(activation !== 'linear' && { before: made[1] }), ...(each.residual && { residual: inputs.residual }),
    });
    return made;
  }).map(asTensor) as [Tensor, Tensor];
  const [values, kept] = [await y.data<'float32'>(), activation === 'linear' ? undefined : await before.data<'float32'>()];
  for (const each of [...Object.values(inputs), y, before]) each.dispose();
  return { y: values.slice(), before: kept?.slice(), programs: spy.programs, could: spy.could };
}

const asTensor = (info: TensorInfo): Tensor => engine().makeTensorFromTensorInfo(info);

/** Each of the matrices, rows × columns, as columns × rows. */
function transposed(values: Float32Array, rows: number, columns: number): Float32Array {
  const size = rows * columns;
  return Float32Array.from(values, (_, i) => values[Math.floor(i / size) * size + ((i % size) % rows) * columns + Math.floor((i % size) / rows)]!);
}

function forced(variant: string): GpuBackend & { could: boolean; programs: string[] } {
  const real = gpu();
  const spy = {
    programs: [] as string[],
    could: true,
    dispatch: (...[program, launch]: Parameters<GpuBackend['dispatch']>) => {
      spy.programs.push(program.name);
      real.dispatch(program, launch);
    },
    choose: ({ candidates }: Parameters<GpuBackend['choose']>[0]) => {
      spy.could = candidates.includes(variant);
      return spy.could ? variant : candidates[0] as string;
    },
    allocate: (...args: Parameters<GpuBackend['allocate']>) => real.allocate(...args),
    temporary: (...args: Parameters<GpuBackend['temporary']>) => real.temporary(...args),
    reshaped: (...args: Parameters<GpuBackend['reshaped']>) => real.reshaped(...args),
    spread: (count: number) => real.spread(count),
    constant: (values: Float32Array) => real.constant(values),
    features: real.features, limits: real.limits, isSoftware: real.isSoftware, precision: real.precision, subgroupSize: real.subgroupSize,
  };
  return spy;
}
