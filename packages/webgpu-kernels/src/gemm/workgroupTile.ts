import { gpuProgram, memoised, type GpuProgram } from '@evenkeel/core-tensor';
import { bindingsOf, entriesText, numberAt, placeText, storeText, uniformsOf, vectorAt, type GemmForm } from './form.ts';
import { cornerText, finishTileText, lane, range, sumsText, type RegisterTile } from './registerTile.ts';

/** WorkgroupTile — the invocations' tiles, and how many steps of k a workgroup holds in its memory at a time: a multiple of 4. */
export type WorkgroupTile = RegisterTile & { readonly steps: number };

/** workgroupBytes — of workgroup memory that a tile takes. */
export const workgroupBytes = ({ threadsM, threadsN, rows, columns, steps }: WorkgroupTile): number => 4 * steps * (threadsM * rows + threadsN * columns);

/**
 * workgroupProgram — a workgroup copies slices of A and B into its memory, and its invocations sum from there.
 *
 * Each element of a tile is read from global memory once per workgroup instead of once per invocation. The copies lie across k
 * (vectors along m and n), whatever the operands' layout: an invocation reads 4 × 4 blocks and turns those that lie along k in its
 * registers, so no vector is written by two. What is beyond m, n and k is 0 there. Lanes with the same rows read the same
 * address, lanes side by side neighbouring vectors: no bank is asked twice.
 */
export const workgroupProgram = (tile: WorkgroupTile, form: GemmForm): GpuProgram => programOf(JSON.stringify([tile, form]));

const programOf = memoised((key: string) => {
  const [tile, form] = JSON.parse(key) as [WorkgroupTile, GemmForm];
  const { threadsM, threadsN, rows, columns, steps } = tile;
  const [sizeM, sizeN] = [threadsM * rows, threadsN * columns];
  const element = form.half === true ? 'vec4h' : 'vec4f';
  return gpuProgram({
    name: `gemm${form.transposeA ? 'T' : 'N'}${form.transposeB ? 'T' : 'N'}Tile${sizeM}x${sizeN}x${steps}`,
    bindings: bindingsOf(form),
    uniforms: uniformsOf(form),
    workgroupSize: [threadsN, threadsM],
    enable: form.half === true ? ['f16'] : [],
    declarations: [
      entriesText(form), storeText(form),
      readText('a', form.transposeA, form.vecA, 'm'), readText('b', !form.transposeB, form.vecB, 'n'),
      `var<workgroup> tileA: array<${element}, ${steps * sizeM / 4}>;`,
      `var<workgroup> tileB: array<${element}, ${steps * sizeN / 4}>;`,
    ].join('\n'),
    main: [
      placeText(form),
      ...cornerText(tile),
      ...sumsText(rows, columns),
      `  for (var p = kFrom; p < kTo; p += ${steps}u) {`,
      ...copyText(tile, element, 'a', form.transposeA, sizeM, 'firstA', 'tileM'),
      ...copyText(tile, element, 'b', !form.transposeB, sizeN, 'firstB', 'tileN'),
      '    workgroupBarrier();',
      `    let end = min(${steps}u, kTo - p);`,
      '    for (var step = 0u; step < end; step += 4u) {',
      ...range(4).flatMap((one) => [
        ...range(rows / 4).map((i) => `      let a${i}_${one} = vec4f(tileA[(step + ${one}u) * ${sizeM / 4}u + local.y + ${i * threadsM}u]);`),
        ...range(columns / 4).map((j) => `      let b${j}_${one} = vec4f(tileB[(step + ${one}u) * ${sizeN / 4}u + local.x + ${j * threadsN}u]);`),
        ...range(rows).flatMap((i) => range(columns / 4).map((j) => `      c${i}_${j} = fma(vec4f(a${i >> 2}_${one}${lane(i)}), b${j}_${one}, c${i}_${j});`)),
      ]),
      '    }',
      '    workgroupBarrier();',
      '  }',
      ...finishTileText(tile),
    ].join('\n'),
  });
});

/**
 * `read_a(first, across, p, kTo)`: a vector of A from `across` (a row of the product) and step p on, 0 where there is nothing.
 * Without branches: what is read beyond the end is somewhere in the tensor, as WebGPU guarantees, and is not taken.
 */
function readText(name: string, isAcross: boolean, vec: boolean, size: string): string {
  const there = (l: number): string => (isAcross ? `across + ${l}u < u.${size} && p < kTo` : `across < u.${size} && p + ${l}u < kTo`);
  return [
    `fn read_${name}(first: u32, across: u32, p: u32, kTo: u32) -> vec4f {`,
    `  let i = ${isAcross ? `first + p * u.${size} + across` : 'first + across * u.k + p'};`,
    vec
      ? `  return select(vec4f(), ${vectorAt(name, 'i / 4u')}, ${there(0)});`
      : `  return vec4f(${range(4).map((l) => `select(0.0, ${numberAt(name, `i + ${l}u`)}, ${there(l)})`).join(', ')});`,
    '}',
  ].join('\n');
}

/** Copies one slice in blocks of 4 × 4; neighbours in a workgroup take blocks that are neighbours in memory. */
function copyText({ threadsM, threadsN, steps }: WorkgroupTile, element: string, name: 'a' | 'b', isAcross: boolean, size: number, first: string, tileIndex: string): string[] {
  const [fast, slow] = isAcross ? [size / 4, 'across'] : [steps / 4, 'along'];
  const read = (l: number): string => (isAcross ? `start, p + 4u * k4 + ${l}u` : `start + ${l}u, p + 4u * k4`);
  const target = `tile${name.toUpperCase()}`;
  return [
    `    for (var block = localIndex; block < ${size * steps / 16}u; block += ${threadsM * threadsN}u) {`,
    ...(slow === 'across'
      ? [`      let v4 = block % ${fast}u;`, `      let k4 = block / ${fast}u;`]
      : [`      let k4 = block % ${fast}u;`, `      let v4 = block / ${fast}u;`]),
    `      let start = ${tileIndex} * ${size}u + 4u * v4;`,
    ...range(4).map((l) => `      let r${l} = read_${name}(${first}, ${read(l)}, kTo);`),
    ...range(4).map((l) => `      ${target}[(4u * k4 + ${l}u) * ${size / 4}u + v4] = ${element}(${
      isAcross ? `r${l}` : range(4).map((row) => (element === 'vec4h' ? `f16(r${row}${lane(l)})` : `r${row}${lane(l)}`)).join(', ')});`),
    '    }',
  ];
}
