import type { GpuBinding, GpuScalar } from '@evenkeel/core-tensor';
import { activationText, type GemmActivation } from './activations.ts';

/** Epilogue — C = activation(scale · A·B + bias) + residual; `before`: what the activation was given is kept too. */
export type Epilogue = { readonly activation: GemmActivation; readonly bias: boolean; readonly before: boolean; readonly residual: boolean };

/** NO_EPILOGUE — for parts of sums, which are finished elsewhere. */
export const NO_EPILOGUE: Epilogue = { activation: 'linear', bias: false, before: false, residual: false };

/**
 * GemmForm — what is baked into a program besides its tile: how the operands lie in memory, and what is done at the end.
 *
 * `vecA`, `vecB`, `vecC`: whether rows as stored are whole vectors of four, so that the tensor is bound as `vec4f`.
 */
export type GemmForm = {
  readonly transposeA: boolean;
  readonly transposeB: boolean;
  readonly vecA: boolean;
  readonly vecB: boolean;
  readonly vecC: boolean;
  /** Whether there are several pairs of matrices, of which one side may repeat. */
  readonly batched: boolean;
  /** Whether A and B are stored as f16; sums are f32 all the same. */
  readonly half?: boolean;
  readonly epilogue: Epilogue;
};

/** bindingsOf — the tensors of a product by their names in the shader. */
export function bindingsOf({ vecA, vecB, vecC, half = false, epilogue }: GemmForm): Record<string, GpuBinding> {
  const element = (vec: boolean): GpuBinding => (half ? vec ? 'read vec4h' : 'read f16' : vec ? 'read vec4f' : 'read f32');
  return { a: element(vecA), b: element(vecB), ...outputBindings(vecC, epilogue) };
}

/** vectorAt, numberAt — an element of A or B as f32, whatever it is stored as. */
export const vectorAt = (name: string, index: string): string => `vec4f(${name}[${index}])`;
export const numberAt = (name: string, index: string): string => `f32(${name}[${index}])`;

/** outputBindings — the tensors that `finishText` uses. */
export function outputBindings(vec: boolean, { bias, before, residual }: Epilogue): Record<string, GpuBinding> {
  const element = vec ? 'vec4f' : 'f32';
  return {
    ...(bias && { bias: `read ${element}` as const }),
    ...(residual && { residual: `read ${element}` as const }),
    c: `write ${element}`,
    ...(before && { before: `write ${element}` as const }),
  };
}

const UNIFORMS: Readonly<Record<string, GpuScalar>> = { m: 'u32', n: 'u32', k: 'u32', kPerSplit: 'u32', tilesM: 'u32', tilesN: 'u32', batch: 'u32', count: 'u32', scale: 'f32' };

/** The batch is counted along up to four axes; an operand that repeats along one has stride 0 there. */
const BATCH_UNIFORMS: Readonly<Record<string, GpuScalar>> = {
  size1: 'u32', size2: 'u32', size3: 'u32', a0: 'u32', a1: 'u32', a2: 'u32', a3: 'u32', b0: 'u32', b1: 'u32', b2: 'u32', b3: 'u32',
};

/** uniformsOf — the numbers that a product needs: see `gemmUniforms`. */
export const uniformsOf = ({ batched }: GemmForm): Record<string, GpuScalar> => ({ ...UNIFORMS, ...(batched && BATCH_UNIFORMS) });

/** finishText — `finish(sum, i, column)`: element (or vector) i of C from its sum; `column` counts in elements (or vectors) too. */
export function finishText(vec: boolean, { activation, bias, before, residual }: Epilogue): string {
  const lanes = vec ? 'vec4f' : 'f32';
  return [
    ...(activation === 'linear' ? [] : [activationText(activation, lanes)]),
    `fn finish(sum: ${lanes}, i: u32, column: u32) {`,
    '  var y = sum * u.scale;',
    ...(bias ? ['  y += bias[column];'] : []),
    ...(before ? ['  before[i] = y;'] : []),
    ...(activation === 'linear' ? [] : ['  y = activate(y);']),
    ...(residual ? ['  y += residual[i];'] : []),
    '  c[i] = y;',
    '}',
  ].join('\n');
}

/** storeText — `finish4(sum, first, row, column)`: four columns of a row, those of them that exist; C starts at element `first`. */
export function storeText({ vecC, epilogue }: GemmForm): string {
  return [
    finishText(vecC, epilogue),
    'fn finish4(sum: vec4f, first: u32, row: u32, column: u32) {',
    '  if (row >= u.m || column >= u.n) { return; }',
    '  let i = first + row * u.n + column;',
    vecC ? '  finish(sum, i / 4u, column / 4u);' : '  for (var l = 0u; l < min(4u, u.n - column); l += 1u) { finish(sum[l], i + l, column + l); }',
    '}',
  ].join('\n');
}

/**
 * placeText — where a workgroup works: `tileM`, `tileN`, and the first elements `firstA`, `firstB`, `firstC` of its matrices, and
 * its part `kFrom`, `kTo` of the sums. Tiles go in bands of eight rows, so that those at work at the same time share operands.
 */
export function placeText({ batched }: GemmForm): string {
  return [
    'if (groupIndex >= u.count) { return; }',
    'let slice = groupIndex / (u.tilesM * u.tilesN);',
    'let tile = groupIndex % (u.tilesM * u.tilesN);',
    'let band = tile / (8u * u.tilesN);',
    'let height = min(8u, u.tilesM - 8u * band);',
    'let inBand = tile - 8u * band * u.tilesN;',
    'let tileM = 8u * band + inBand % height;',
    'let tileN = inBand / height;',
    'let kFrom = (slice / u.batch) * u.kPerSplit;',
    'let kTo = min(u.k, kFrom + u.kPerSplit);',
    'let firstC = slice * u.m * u.n;',
    ...(batched
      ? ['let entries = entriesOf(slice % u.batch);', 'let firstA = entries.x * u.m * u.k;', 'let firstB = entries.y * u.k * u.n;']
      : ['let firstA = 0u;', 'let firstB = 0u;']),
  ].map((line) => `  ${line}`).join('\n');
}

/** entriesText — `entriesOf(entry)`: which matrices of A and B a pair is made of. */
export function entriesText({ batched }: GemmForm): string {
  if (!batched) return '';
  return [
    'fn entriesOf(entry: u32) -> vec2u {',
    '  let i3 = entry % u.size3;',
    '  let i2 = entry / u.size3 % u.size2;',
    '  let i1 = entry / (u.size3 * u.size2) % u.size1;',
    '  let i0 = entry / (u.size3 * u.size2 * u.size1);',
    '  return vec2u(i0 * u.a0 + i1 * u.a1 + i2 * u.a2 + i3 * u.a3, i0 * u.b0 + i1 * u.b1 + i2 * u.b2 + i3 * u.b3);',
    '}',
  ].join('\n');
}
