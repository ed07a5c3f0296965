import { gpuProgram } from '@evenkeel/core-tensor';
import { outAt, queryAt } from './queries.ts';
import { enterGroup, enterHead, enterSequence, scoreFunctions } from './scores.ts';
import { blockRows } from './tile.ts';
import { accumulate, extraBinding, featuresOf, loadRow, loadTile, storeRow, threadPlace, tileArrays, withProducts, zeroRow } from './tiles.ts';
import { each, factorBinding, loader, programOf, rowsBinding, storer, UNIFORMS, type Variant } from './variant.ts';

/**
 * backwardKeyValueProgram — dk and dv of one block of keys of one key head per workgroup, summed over the query heads that read it:
 * workgroups are [blocks of keys, key heads, sequences].
 *
 *     p = e^(score − lse)   dv = (p ∘ keep)ᵀ·dy   dp = (dy·vᵀ) ∘ keep   ds = p ∘ (dp − rowsum(dy ∘ out))   dk = scale · dsᵀ·q
 *
 * Bindings: q, k, v, dy, extra (see `extra.ts`), bias?, dk, dv; with `packed` one tensor `dk` for both. Reads q and dy once per block.
 *
 * Source: Dao 2023, arXiv:2307.08691, algorithm 2.
 */
export const backwardKeyValueProgram = programOf((variant) => {
  const { tile, bias, packed } = variant;
  const dv = packed ? 'dk' : 'dv';
  return gpuProgram({
    name: 'attentionKeyValueGrad',
    bindings: {
      q: factorBinding(variant), k: factorBinding(variant), v: factorBinding(variant), dy: factorBinding(variant),
      ...extraBinding(variant, true), ...(bias && { bias: 'read f32' as const }), dk: rowsBinding(variant, 'write'),
      ...(!packed && { dv: rowsBinding(variant, 'write') }),
    },
    uniforms: UNIFORMS,
    workgroupSize: tile.threads,
    enable: featuresOf(tile),
    declarations: [
      ...['q', 'k', 'v', 'dy'].map((name) => loader(name, variant)), storer('dk', variant), packed ? '' : storer('dv', variant),
      tileArrays(['q', 'dy'], variant, 2), `var<workgroup> statistics: array<vec2f, ${tile.keys}>;`, scoreFunctions(variant),
    ].join('\n'),
    main: [
      enterGroup(variant), 'let kvHead = place.y; let batch = place.z;',
      enterSequence(variant), threadPlace(tile), keyRows(variant),
      each(tile.rows, (r) => [
        loadRow('k', r, variant, `u.kAt + keyAt${r}`, `j${r} < s`), loadRow('v', r, variant, `u.vAt + keyAt${r}`, `j${r} < s`),
        zeroRow('dk', r, variant), zeroRow('dv', r, variant),
      ].join('\n')),
      'for (var head = kvHead * u.group; head < (kvHead + 1u) * u.group; head++) {',
      enterHead(variant),
      queryTiles(variant, withProducts([{ into: 'x', x: 'k', tile: 'q' }, { into: 'dp', x: 'v', tile: 'dy' }], variant, 'count', [
        `let i4 = vec4i(start + i32(n)) + vec4i(0, 1, 2, 3);
        let row0 = statistics[n]; let row1 = statistics[n + 1u]; let row2 = statistics[n + 2u]; let row3 = statistics[n + 3u];
        let lse = vec4f(row0.x, row1.x, row2.x, row3.x); let rowSum = vec4f(row0.y, row1.y, row2.y, row3.y);`,
        each(tile.rows, (r) => gradients(variant, r)), accumulate('dv', 'p', 'dy', variant), accumulate('dk', 'ds', 'q', variant),
      ].join('\n'))),
      '}',
      each(tile.rows, (r) => `if (j${r} < s) {
        ${storeRow('dk', variant, `u.kAt + keyAt${r}`, (c) => `u.scale * dk${r}_${c}`)}
        ${storeRow(dv, variant, `u.vAt + keyAt${r}`, (c) => `dv${r}_${c}`)}
      }`),
    ].join('\n'),
  });
});

/** Rows `j{r}` of this thread, the queries `first{r}` … that see them, `seen{r}` in number, and those that see some key of the block. */
function keyRows({ headDim, tile }: Variant): string {
  return `let begin = i32(place.x) * ${blockRows(tile)};
  if (begin >= s) { return; }
  ${each(tile.rows, (r) => `let j${r} = begin + ${r * (tile.threads / tile.split)} + row;
    let keyAt${r} = batch * u.kBatch + u32(kStart + j${r}) * u.kRow + kvHead * ${headDim}u;
    let first${r} = max(0, j${r} - delta - u.right);
    let seen${r} = select(0u, u32(max(0, min(t, j${r} - delta + u.left + 1) - first${r})), j${r} < s);`)}
  let last = min(s, begin + ${blockRows(tile)}) - 1;
  let queryFrom = max(0, begin - (s - t) - u.right) / ${tile.keys} * ${tile.keys};
  let end = min(t, last - (s - t) + u.left + 1);`;
}

/** `body` for each tile of queries that see some key of the block, with its queries, their gradients and statistics in workgroup memory. */
function queryTiles(variant: Variant, body: string): string {
  const { tile, mask } = variant;
  return `for (var start = queryFrom; start < end; start += ${tile.keys}) {
    let count = u32(min(${tile.keys}, end - start));
    ${mask === 'none' ? '' : 'if (!isTileKept(start, start + i32(count), begin, last + 1)) { continue; }'}
    workgroupBarrier();
    ${loadTile(['q', 'dy'], variant, [queryAt('n', variant), outAt('n', variant)])}
    for (var e = localIndex; e < ${tile.keys}u; e += ${tile.threads}u) {
      let at = 2u * (firstRow + u32(start) + e);
      statistics[e] = vec2f(bitcast<f32>(extra[at]), bitcast<f32>(extra[at + 1u]));
    }
    workgroupBarrier();
    ${body}
  }`;
}

function gradients({ dropout, softcap, mask }: Variant, r: number): string {
  return `let can${r} = (vec4u(i4 - first${r}) < vec4u(seen${r}))${mask === 'elements' ? ` & isKept(i4, vec4i(j${r}))` : ''};
    let y${r} = capped(x${r});
    let w${r} = exp(scored(y${r}, i4, vec4i(j${r})) - lse);
    ${dropout ? `let keep${r} = keepColumn(i4.x, j${r});` : ''}
    let p${r} = select(vec4f(), w${r}${dropout ? ` * keep${r}` : ''}, can${r});
    let ds${r} = select(vec4f(), w${r} * (dp${r}${dropout ? ` * keep${r}` : ''} - rowSum)${softcap ? ` * capSlope(y${r})` : ''}, can${r});`;
}
