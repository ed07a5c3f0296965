import { gpuProgram } from '@evenkeel/core-tensor';
import { enterGroup, enterHead, enterSequence, LOWEST, scoreFunctions } from './scores.ts';
import { keyRange, keyTiles, outAt, queryAt, queryRows, visibleKeys } from './queries.ts';
import { chunksOf } from './tile.ts';
import { accumulate, extraBinding, featuresOf, loadRow, storeRow, threadPlace, tileArrays, withProducts, zeroRow } from './tiles.ts';
import { each, factorBinding, loader, programOf, rowsBinding, storer, UNIFORMS, type Variant } from './variant.ts';

/**
 * forwardProgram — attention of one block of queries of one head per workgroup: they are [blocks of queries, heads, sequences].
 *
 *     for each tile of keys:  s = q·kᵀ   m' = max(m, s)   p = e^(s − m')   l = l·e^(m − m') + Σp   o = o·e^(m − m') + (p ∘ keep)·v
 *     out = o / l   lse = m + log l   rowMax = m   entropy = log l − Σ p·(s − m) / l
 *
 * Bindings: q, k, v, out, lse, rowMax? and entropy? (joined statistics: all three one after another in `lse`), bias?, extra?. Reads k and v
 * once per block of queries. Queries stay in registers and keys are read by all threads at the same place of workgroup memory, so that no
 * thread waits for another within a tile. Statistics take no part in what out and lse are computed from.
 *
 * Source: Dao 2023, arXiv:2307.08691, algorithm 1.
 */
export const forwardProgram = programOf((variant) => {
  const { tile, bias, statistics } = variant;
  return gpuProgram({
    name: 'attention',
    bindings: {
      q: factorBinding(variant), k: factorBinding(variant), v: factorBinding(variant), out: rowsBinding(variant, 'write'), lse: 'write f32',
      ...(statistics === 'apart' && { rowMax: 'write f32' as const, entropy: 'write f32' as const }),
      ...(bias && { bias: 'read f32' as const }), ...extraBinding(variant, false),
    },
    uniforms: UNIFORMS,
    workgroupSize: tile.threads,
    enable: featuresOf(tile),
    declarations: [
      ...['q', 'k', 'v'].map((name) => loader(name, variant)), storer('out', variant), tileArrays(['k', 'v'], variant, 1), scoreFunctions(variant),
    ].join('\n'),
    main: [
      enterGroup(variant),
      `let rowBlock = u.blocks - 1u - place.x; // the last see most keys and begin first
      let head = place.y; let batch = place.z;`,
      enterSequence(variant), enterHead(variant), threadPlace(tile), queryRows(variant), keyRange(variant),
      each(tile.rows, (r) => [
        loadRow('q', r, variant, queryAt(`i${r}`, variant), `i${r} < t`), zeroRow('o', r, variant), `var m${r} = ${LOWEST}; var l${r} = 0.0;`,
        statistics === 'none' ? '' : `var e${r} = 0.0;`, variant.mask === 'none' ? '' : `var sees${r} = false;`,
      ].join('\n')),
      keyTiles(variant, withProducts([{ into: 'x', x: 'q', tile: 'k' }], variant, 'count', [
        'let j4 = vec4i(start + i32(n)) + vec4i(0, 1, 2, 3);',
        each(tile.rows, (r) => softmaxStep(variant, r)), accumulate('o', 'p', 'v', variant),
      ].join('\n'))),
      each(tile.rows, (r) => finish(variant, r)),
    ].join('\n'),
  });
});

function softmaxStep(variant: Variant, r: number): string {
  const { headDim, tile, dropout, statistics, mask } = variant;
  return `${visibleKeys(variant, r)}
    ${mask === 'none' ? '' : `sees${r} = sees${r} || any(can${r});`}
    let y${r} = select(vec4f(${LOWEST}), scored(capped(x${r}), vec4i(i${r}), j4), can${r});
    let top${r} = max(m${r}, max(max(y${r}.x, y${r}.y), max(y${r}.z, y${r}.w)));
    let shrink${r} = exp(m${r} - top${r});
    let w${r} = select(vec4f(), exp(y${r} - top${r}), can${r});
    ${statistics === 'none' ? '' : `e${r} = shrink${r} * (e${r} + select((m${r} - top${r}) * l${r}, 0.0, l${r} == 0.0)) + dot(w${r}, select(y${r} - top${r}, vec4f(), w${r} == vec4f()));`}
    m${r} = top${r};
    l${r} = l${r} * shrink${r} + ((w${r}.x + w${r}.y) + (w${r}.z + w${r}.w));
    let p${r} = w${r}${dropout ? ` * keepRow(i${r}, j4.x)` : ''};
    ${each(chunksOf(headDim, tile), (c) => `o${r}_${c} *= shrink${r};`)}`;
}

/** A query that sees nothing has out 0; one whose scores are all −Infinity has nothing to normalise by, and NaN. */
function finish(variant: Variant, r: number): string {
  const { statistics, mask } = variant;
  const [rowMax, entropy] = statistics === 'joined' ? ['lse[u.rowCount + at]', 'lse[2u * u.rowCount + at]'] : ['rowMax[at]', 'entropy[at]'];
  return `if (i${r} < t) {
    let blind = ${mask === 'none' ? `seen${r} == 0u` : `!sees${r}`};
    let inverse = select(select(1.0 / l${r}, u.nan, l${r} == 0.0), 0.0, blind);
    ${storeRow('out', variant, outAt(`i${r}`, variant), (c) => `o${r}_${c} * inverse`)}
    if (part == 0u) {
      let at = firstRow + u32(i${r});
      lse[at] = select(select(m${r} + log(l${r}), u.nan, l${r} == 0.0), u.infinity, blind);
      ${statistics === 'none' ? '' : `let isNan = (bitcast<u32>(l${r}) & 0x7fffffffu) > 0x7f800000u; // maxima pass over NaN, and compilers over arithmetic with it
      ${rowMax} = select(select(m${r}, -u.infinity, m${r} == ${LOWEST}), u.nan, isNan);
      ${entropy} = select(select(log(l${r}) - e${r} / l${r}, u.nan, l${r} == 0.0), 0.0, blind);`}
    }
  }`;
}
