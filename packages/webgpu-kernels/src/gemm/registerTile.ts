import { gpuProgram, memoised, type GpuProgram } from '@evenkeel/core-tensor';
import { bindingsOf, entriesText, numberAt, placeText, storeText, uniformsOf, vectorAt, type GemmForm } from './form.ts';

/**
 * RegisterTile — `threadsM` × `threadsN` invocations with `rows` × `columns` elements of C each; rows and columns are multiples of 4.
 * `subgroups`, with `threadsM` = 1: four lanes of each subgroup read the rows of A and hand them to the others.
 */
export type RegisterTile = {
  readonly threadsM: number;
  readonly threadsN: number;
  readonly rows: number;
  readonly columns: number;
  readonly subgroups?: boolean;
};

/**
 * registerProgram — each invocation sums its tile of C from vectors that it reads itself: no workgroup memory, no barriers.
 *
 * Per 4 steps of k an invocation reads rows + columns vectors for 4 · rows · columns multiply-adds; what neighbours read as well comes
 * from the caches. Vectors lie along the stored rows: along k for A and Bᵀ, along m and n for Aᵀ and B. The vectors of a tile along
 * m and n are `threadsM` and `threadsN` apart, so neighbours read neighbouring addresses. With `threadsM` = 1 all invocations of a
 * workgroup have the same rows, which adapters that tell uniform addresses read once. Rows beyond m and n are read as the last
 * one and never written; steps of k beyond the last whole four are summed one by one, as are all where no operand has vectors. Every subgroup has four lanes at least.
 */
export const registerProgram = (tile: RegisterTile, form: GemmForm): GpuProgram => programOf(JSON.stringify([tile, form]));

const programOf = memoised((key: string) => {
  const [tile, form] = JSON.parse(key) as [RegisterTile, GemmForm];
  const { threadsM, threadsN, rows, columns, subgroups = false } = tile;
  return gpuProgram({
    name: `gemm${form.transposeA ? 'T' : 'N'}${form.transposeB ? 'T' : 'N'}${subgroups ? 'Subgroup' : 'Register'}${rows}x${columns}`,
    bindings: bindingsOf(form),
    uniforms: uniformsOf(form),
    workgroupSize: [threadsN, threadsM],
    enable: [...(form.half === true ? ['f16' as const] : []), ...(subgroups ? ['subgroups' as const] : [])],
    declarations: [entriesText(form), storeText(form)].join('\n'),
    main: [
      placeText(form),
      ...cornerText(tile),
      ...sumsText(rows, columns),
      ...pointers('a', 'firstA', form.transposeA, form.vecA, rows, (i) => rowOf(tile, i), 'm'),
      ...(subgroups && !form.transposeA ? range(rows / 4).map((i) => `  let aLane${i} = firstA + min(row + ${4 * i}u + (laneIndex & 3u), u.m - 1u) * u.k;`) : []),
      ...pointers('b', 'firstB', !form.transposeB, form.vecB, columns, (j) => columnOf(tile, j), 'n'),
      ...(form.vecA || form.vecB || subgroups ? fourSteps(tile, form) : ['  let kWhole = kFrom;']),
      '  for (var p = kWhole; p < kTo; p += 1u) {',
      ...singles('a', form.transposeA, form.vecA, rows, 'm'),
      ...singles('b', !form.transposeB, form.vecB, columns, 'n'),
      ...range(rows).flatMap((i) => range(columns / 4).map((j) => (
        `    c${i}_${j} = fma(vec4f(as_${i >> 2}${lane(i)}), bs_${j}, c${i}_${j});`))),
      '  }',
      ...finishTileText(tile),
    ].join('\n'),
  });
});

/** Sums over all but the last up to three steps of k, four at a time; without vectors there is nothing to gain from that. */
function fourSteps({ rows, columns, subgroups = false }: RegisterTile, form: GemmForm): string[] {
  return [
    '  let kWhole = kTo - (kTo - kFrom) % 4u;',
    '  for (var p = kFrom; p < kWhole; p += 4u) {',
    ...(subgroups ? handedLoads(form, rows) : loads('a', form.transposeA, form.vecA, rows, 'm')),
    ...loads('b', !form.transposeB, form.vecB, columns, 'n'),
    ...range(4).flatMap((step) => range(rows).flatMap((i) => range(columns / 4).map((j) => (
      `    c${i}_${j} = fma(vec4f(${element('a', form.transposeA, i, step)}), ${vector(form, j, step)}, c${i}_${j});`)))),
    '  }',
  ];
}

/** cornerText — `row` and `column`, where an invocation's part of C starts. */
export const cornerText = ({ threadsM, threadsN, rows, columns }: RegisterTile): string[] => [
  `  let row = tileM * ${threadsM * rows}u${threadsM > 1 ? ' + 4u * local.y' : ''};`,
  `  let column = tileN * ${threadsN * columns}u + 4u * local.x;`,
];

/** sumsText — its sums: `c0_0`, …: one vector per row and four columns. */
export const sumsText = (rows: number, columns: number): string[] => range(rows).flatMap((i) => range(columns / 4).map((j) => `  var c${i}_${j} = vec4f();`));

/** finishTileText — ends an invocation by writing its sums, in a loop: what a product ends with stands in the program once. */
export const finishTileText = ({ threadsM, threadsN, rows, columns }: RegisterTile): string[] => [
  `  for (var part = 0u; part < ${rows * columns / 4}u; part += 1u) {`,
  '    var sum = c0_0;',
  '    switch part {',
  ...range(rows * columns / 4).slice(1).map((part) => `      case ${part}u: { sum = c${part % rows}_${Math.floor(part / rows)}; }`),
  '      default: {}',
  '    }',
  `    let i = part % ${rows}u;`,
  `    finish4(sum, firstC, row + ${4 * threadsM}u * (i / 4u) + i % 4u, column + ${4 * threadsN}u * (part / ${rows}u));`,
  '  }',
];

/** Row i of a tile: groups of four, `threadsM` groups apart. */
const rowOf = ({ threadsM }: RegisterTile, i: number): string => `row + ${4 * threadsM * (i >> 2) + (i & 3)}u`;
const columnOf = ({ threadsN }: RegisterTile, j: number): string => `column + ${4 * threadsN * (j >> 2) + (j & 3)}u`;

/** Where an operand's rows (along k) or first vectors (across k) start. */
function pointers(name: string, first: string, isAcross: boolean, vec: boolean, count: number, at: (i: number) => string, size: string): string[] {
  if (!isAcross) return range(count).map((i) => `  let ${name}Row${i} = ${first} + min(${at(i)}, u.${size} - 1u) * u.k;`);
  if (vec) return range(count / 4).map((i) => `  let ${name}Row${i} = ${first} + min(${at(4 * i)}, u.${size} - 4u);`);
  return range(count).map((i) => `  let ${name}Row${i} = ${first} + min(${at(i)}, u.${size} - 1u);`);
}

/** The vectors for steps p to p + 3: `a0`, `a1`, … along k, one per row, or `a0_step`, … across, one per four rows. */
function loads(name: string, isAcross: boolean, vec: boolean, count: number, size: string): string[] {
  if (!isAcross) {
    return range(count).map((i) => `    let ${name}${i} = ${vec
      ? vectorAt(name, `(${name}Row${i} + p) / 4u`)
      : `vec4f(${range(4).map((step) => numberAt(name, `${name}Row${i} + p + ${step}u`)).join(', ')})`};`);
  }
  return range(4).flatMap((step) => range(count / 4).map((i) => `    let ${name}${i}_${step} = ${across(name, vec, i, `(p + ${step}u) * u.${size}`)};`));
}

/** `loads` of A where lane l mod 4 reads row l, or step l of Aᵀ, for all. */
function handedLoads({ transposeA, vecA }: GemmForm, rows: number): string[] {
  const along = (i: number): string => (vecA
    ? vectorAt('a', `(aLane${i} + p) / 4u`)
    : `vec4f(${range(4).map((step) => numberAt('a', `aLane${i} + p + ${step}u`)).join(', ')})`);
  return range(rows / 4).flatMap((i) => [
    `    let aRead${i} = ${transposeA ? across('a', vecA, i, '(p + (laneIndex & 3u)) * u.m') : along(i)};`,
    ...range(4).map((l) => `    let a${transposeA ? `${i}_${l}` : 4 * i + l} = subgroupBroadcast(aRead${i}, ${l}u);`),
  ]);
}

const across = (name: string, vec: boolean, i: number, from: string): string => (vec
  ? vectorAt(name, `(${name}Row${i} + ${from}) / 4u`)
  : `vec4f(${range(4).map((l) => numberAt(name, `${name}Row${4 * i + l} + ${from}`)).join(', ')})`);

/** Four rows at step p alone. */
function singles(name: string, isAcross: boolean, vec: boolean, count: number, size: string): string[] {
  return range(count / 4).map((i) => {
    if (isAcross) return `    let ${name}s_${i} = ${across(name, vec, i, `p * u.${size}`)};`;
    const at = (l: number): string => (vec ? `${vectorAt(name, `(${name}Row${4 * i + l} + p) / 4u`)}[p % 4u]` : numberAt(name, `${name}Row${4 * i + l} + p`));
    return `    let ${name}s_${i} = vec4f(${range(4).map(at).join(', ')});`;
  });
}

const element = (name: string, isAcross: boolean, i: number, step: number): string => (
  isAcross ? `${name}${i >> 2}_${step}${lane(i)}` : `${name}${i}${lane(step)}`);

/** Four columns of B at a step. */
const vector = ({ transposeB }: GemmForm, j: number, step: number): string => (
  transposeB ? `vec4f(${range(4).map((l) => `b${4 * j + l}${lane(step)}`).join(', ')})` : `b${j}_${step}`);

/** lane — `.x` to `.w`. */
export const lane = (i: number): string => `.${'xyzw'[i & 3]}`;

/** range — 0 to count − 1. */
export const range = (count: number): number[] => Array.from({ length: count }, (_, i) => i);
