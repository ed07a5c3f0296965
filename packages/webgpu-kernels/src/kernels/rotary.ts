import { gpuProgram, memoised, type GpuKernel, type GpuKernelCall } from '@evenkeel/core-tensor';
import type { TensorInfo } from '@tensorflow/tfjs-core';
import { given, sizeOf } from './kernel.ts';
import { elementOf } from './rowPlan.ts';

/** `evenkeel/rotary`: x `b t h d`, attrs table (Float32Array of rows × rotaryDim: cosines, then sines), rotaryDim, interleaved, inverse. */
export const rotaryKernels: readonly GpuKernel[] = [{ name: 'evenkeel/rotary', run: rotary }];

const THREADS = 256;

/** The partner of each number under its cosine, and the sign of its sine: (a, b) → (a cos − b sin, b cos + a sin). */
const TURNS = {
  halves: {
    narrow: /* wgsl */ `
    let isSecond = channel >= half;
    let angle = row + select(channel, channel - half, isSecond);
    let partner = x[select(index + half, index - half, isSecond)];
    let sin = table[angle + half] * select(-u.sign, u.sign, isSecond);
    y[index] = x[index] * table[angle] + partner * sin;`,
    wide: /* wgsl */ `
    let isSecond = channel >= half;
    let angle = row + select(channel, channel - half, isSecond);
    let partner = x[select(index + half / 4u, index - half / 4u, isSecond)];
    let cos = vec4f(table[angle], table[angle + 1u], table[angle + 2u], table[angle + 3u]);
    let sin = vec4f(table[angle + half], table[angle + half + 1u], table[angle + half + 2u], table[angle + half + 3u]);
    y[index] = x[index] * cos + partner * sin * select(-u.sign, u.sign, isSecond);`,
  },
  neighbours: {
    narrow: /* wgsl */ `
    let isSecond = channel % 2u == 1u;
    let angle = row + channel / 2u;
    let partner = x[select(index + 1u, index - 1u, isSecond)];
    let sin = table[angle + half] * select(-u.sign, u.sign, isSecond);
    y[index] = x[index] * table[angle] + partner * sin;`,
    wide: /* wgsl */ `
    let angle = row + channel / 2u;
    let v = x[index];
    let cos = vec4f(vec2f(table[angle]), vec2f(table[angle + 1u]));
    let sin = u.sign * vec2f(table[angle + half], table[angle + half + 1u]);
    y[index] = v * cos + v.yxwz * vec4f(-sin.x, sin.x, -sin.y, sin.y);`,
  },
} as const;

/** One thread per number of y, or per vec4f where a half is whole vec4fs. Channels beyond the turned ones are copied. */
const program = memoised((pairs: keyof typeof TURNS, wide: boolean) => gpuProgram({
  name: 'rotary',
  bindings: { x: `read ${elementOf(wide)}`, table: 'read f32', y: `write ${elementOf(wide)}` },
  uniforms: { count: 'u32', units: 'u32', heads: 'u32', tokens: 'u32', turned: 'u32', first: 'u32', sign: 'f32' },
  workgroupSize: THREADS,
  main: /* wgsl */ `
  if (index >= u.count) { return; }
  let channel = ${wide ? 4 : 1}u * (index % u.units);
  if (channel >= u.turned) { y[index] = x[index]; return; }
  let half = u.turned / 2u;
  let row = u.first + index / (u.units * u.heads) % u.tokens * u.turned;
  ${TURNS[pairs][wide ? 'wide' : 'narrow']}`,
}));

function rotary(call: GpuKernelCall): TensorInfo {
  const { attrs, backend } = call;
  const { table: values, rotaryDim, interleaved, inverse } = attrs as { table: Float32Array; rotaryDim: number; interleaved: boolean; inverse: boolean };
  const x = given(call, 'x');
  const [, , heads, channels] = x.shape as [number, number, number, number];
  const y = backend.allocate(x.shape);
  if (sizeOf(x) === 0) return y;
  const { tensor: table, first } = backend.constant(values);
  const wide = channels % 4 === 0 && rotaryDim % 8 === 0;
  const units = wide ? channels / 4 : channels;
  const count = sizeOf(x) / (wide ? 4 : 1);
  backend.dispatch(program(interleaved ? 'neighbours' : 'halves', wide), {
    tensors: { x, table, y },
    uniforms: { count, units, heads, tokens: values.length / rotaryDim, turned: rotaryDim, first, sign: inverse ? -1 : 1 },
    groups: backend.spread(Math.ceil(count / THREADS)),
  });
  return y;
}
