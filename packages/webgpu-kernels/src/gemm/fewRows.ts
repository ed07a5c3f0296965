import { gpuProgram, memoised, type GpuProgram } from '@evenkeel/core-tensor';
import { bindingsOf, entriesText, numberAt, placeText, storeText, uniformsOf, vectorAt, type GemmForm } from './form.ts';
import { lane, range } from './registerTile.ts';

/** FEW_ROWS — the most rows that `fewRowsProgram` takes. */
export const FEW_ROWS = 4;

/** fewRowsColumns — the columns that a workgroup computes. */
export const fewRowsColumns = ({ transposeB }: GemmForm): number => (transposeB ? 4 : 32);

/**
 * fewRowsProgram — one to four rows times a matrix, each element of which is read once: bound by memory, so the work lies along it.
 *
 * Bᵀ: a workgroup of 64 has four columns, 16 invocations each, which step along k by 16 vectors. B: eight vectors of columns, eight
 * invocations each, which step along k by 8. What they summed is added up in workgroup memory in a fixed order.
 */
export const fewRowsProgram = (rows: number, form: GemmForm): GpuProgram => programOf(rows, JSON.stringify(fewRowsForm(form)));

/** fewRowsForm — A is small and read by elements; Bᵀ gives C element by element. */
export const fewRowsForm = (form: GemmForm): GemmForm => ({ ...form, vecA: false, vecC: form.vecC && !form.transposeB });

const programOf = memoised((rows: number, key: string) => {
  const form = JSON.parse(key) as GemmForm;
  return gpuProgram({
    name: `gemm${form.transposeA ? 'T' : 'N'}${form.transposeB ? 'T' : 'N'}${rows}Rows`,
    bindings: bindingsOf(form),
    uniforms: uniformsOf(form),
    workgroupSize: 64,
    enable: form.half === true ? ['f16'] : [],
    declarations: [entriesText(form), storeText(form), `var<workgroup> parts: array<${form.transposeB ? 'f32' : 'vec4f'}, ${64 * rows}>;`].join('\n'),
    main: [placeText(form), ...(form.transposeB ? alongK(rows, form) : acrossK(rows, form))].join('\n'),
  });
});

/** Element p of a row of A. */
const elementOf = ({ transposeA }: GemmForm, row: number, p: string): string => numberAt('a', transposeA ? `firstA + (${p}) * u.m + ${row}u` : `firstA + ${row}u * u.k + ${p}`);

function alongK(rows: number, form: GemmForm): string[] {
  const b = form.vecB ? vectorAt('b', '(start + p) / 4u') : `vec4f(${range(4).map((l) => numberAt('b', `start + p + ${l}u`)).join(', ')})`;
  return [
    '  let column = tileN * 4u + localIndex / 16u;',
    '  let start = firstB + min(column, u.n - 1u) * u.k;',
    ...range(rows).map((i) => `  var sum${i} = 0.0;`),
    '  let kWhole = kTo - (kTo - kFrom) % 4u;',
    '  for (var p = kFrom + 4u * (localIndex % 16u); p < kWhole; p += 64u) {',
    `    let v = ${b};`,
    ...range(rows).flatMap((i) => range(4).map((l) => `    sum${i} = fma(${elementOf(form, i, `p + ${l}u`)}, v${lane(l)}, sum${i});`)),
    '  }',
    '  if (localIndex % 16u == 0u) {',
    '    for (var p = kWhole; p < kTo; p += 1u) {',
    ...range(rows).map((i) => `      sum${i} = fma(${elementOf(form, i, 'p')}, ${form.vecB ? `${vectorAt('b', '(start + p) / 4u')}[p % 4u]` : numberAt('b', 'start + p')}, sum${i});`),
    '    }',
    '  }',
    ...addUp(rows, [8, 4, 2, 1], 'localIndex % 16u', 1),
    '  if (localIndex % 16u == 0u && column < u.n) {',
    ...range(rows).map((i) => `    finish(parts[${64 * i}u + localIndex], firstC + ${i}u * u.n + column, column);`),
    '  }',
  ];
}

function acrossK(rows: number, form: GemmForm): string[] {
  const b = form.vecB
    ? vectorAt('b', '(firstB + p * u.n + start) / 4u')
    : `vec4f(${range(4).map((l) => numberAt('b', `firstB + p * u.n + min(start + ${l}u, u.n - 1u)`)).join(', ')})`;
  return [
    '  let column = tileN * 32u + 4u * (localIndex % 8u);',
    `  let start = min(column, u.n - ${form.vecB ? 4 : 1}u);`,
    ...range(rows).map((i) => `  var sum${i} = vec4f();`),
    '  for (var p = kFrom + localIndex / 8u; p < kTo; p += 8u) {',
    `    let v = ${b};`,
    ...range(rows).map((i) => `    sum${i} = fma(vec4f(${elementOf(form, i, 'p')}), v, sum${i});`),
    '  }',
    ...addUp(rows, [4, 2, 1], 'localIndex / 8u', 8),
    '  if (localIndex < 8u) {',
    ...range(rows).map((i) => `    finish4(parts[${64 * i}u + localIndex], firstC, ${i}u, column);`),
    '  }',
  ];
}

/** Halves the number of sums until one is left, `stride` apart in `parts`; `part` tells which one an invocation has. */
function addUp(rows: number, halves: readonly number[], part: string, stride: number): string[] {
  return [
    ...range(rows).map((i) => `  parts[${64 * i}u + localIndex] = sum${i};`),
    ...halves.flatMap((half) => [
      '  workgroupBarrier();',
      `  if (${part} < ${half}u) {`,
      ...range(rows).map((i) => `    parts[${64 * i}u + localIndex] += parts[${64 * i}u + localIndex + ${half * stride}u];`),
      '  }',
    ]),
    '  workgroupBarrier();',
  ];
}
