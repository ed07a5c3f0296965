import { gpuProgram } from '@evenkeel/core-tensor';
import { keyRange, keyTiles, outAt, queryAt, queryRows, visibleKeys } from './queries.ts';
import { enterGroup, enterHead, enterSequence, scoreFunctions } from './scores.ts';
import { accumulate, extraBinding, featuresOf, loadRow, storeRow, threadPlace, tileArrays, withProducts, zeroRow } from './tiles.ts';
import { each, factorBinding, loader, programOf, rowsBinding, storer, UNIFORMS, type Variant } from './variant.ts';

/**
 * backwardQueryProgram — dq of one block of queries of one head per workgroup: they are [blocks of queries, heads, sequences].
 *
 *     p = e^(score − lse)   dp = (dy·vᵀ) ∘ keep   ds = p ∘ (dp − rowsum(dy ∘ out))   dq = scale · ds·k
 *
 * Bindings: q, k, v, dy, extra (lse and rowsum of each query, see `extra.ts`), bias?, dq. Reads k and v once per block of queries.
 *
 * Source: Dao 2023, arXiv:2307.08691, algorithm 2; here dq has a pass of its own, so that no workgroup adds to what another writes.
 */
export const backwardQueryProgram = programOf((variant) => {
  const { tile, bias } = variant;
  return gpuProgram({
    name: 'attentionQueryGrad',
    bindings: {
      q: factorBinding(variant), k: factorBinding(variant), v: factorBinding(variant), dy: factorBinding(variant),
      ...extraBinding(variant, true), ...(bias && { bias: 'read f32' as const }), dq: rowsBinding(variant, 'write'),
    },
    uniforms: UNIFORMS,
    workgroupSize: tile.threads,
    enable: featuresOf(tile),
    declarations: [
      ...['q', 'k', 'v', 'dy'].map((name) => loader(name, variant)), storer('dq', variant), tileArrays(['k', 'v'], variant, 2), scoreFunctions(variant),
    ].join('\n'),
    main: [
      enterGroup(variant), 'let rowBlock = u.blocks - 1u - place.x; let head = place.y; let batch = place.z;',
      enterSequence(variant), enterHead(variant), threadPlace(tile), queryRows(variant), keyRange(variant),
      each(tile.rows, (r) => [loadQuery(variant, r), zeroRow('dq', r, variant)].join('\n')),
      keyTiles(variant, withProducts(PRODUCTS, variant, 'count', [
        'let j4 = vec4i(start + i32(n)) + vec4i(0, 1, 2, 3);',
        each(tile.rows, (r) => scoreGradient(variant, r, true)), accumulate('dq', 'ds', 'k', variant),
      ].join('\n'))),
      each(tile.rows, (r) => `if (i${r} < t) { ${storeRow('dq', variant, queryAt(`i${r}`, variant), (c) => `u.scale * dq${r}_${c}`)} }`),
    ].join('\n'),
  });
});

/** Scores before scaling, and the gradient of the weights. */
export const PRODUCTS = [{ into: 'x', x: 'q', tile: 'k' }, { into: 'dp', x: 'dy', tile: 'v' }] as const;

/** loadQuery — query i{r}, the gradient of its output, and its statistics. */
export function loadQuery(variant: Variant, r: number): string {
  return `${loadRow('q', r, variant, queryAt(`i${r}`, variant), `i${r} < t`)}
    ${loadRow('dy', r, variant, outAt(`i${r}`, variant), `i${r} < t`)}
    let at${r} = 2u * (firstRow + u32(i${r}));
    let lse${r} = bitcast<f32>(extra[at${r}]); let rowSum${r} = bitcast<f32>(extra[at${r} + 1u]);`;
}

/** scoreGradient — `ds{r}`: the gradient of the scores of query i{r} and keys j4; with `isBeforeCap` that of what the soft cap is put on. */
export function scoreGradient(variant: Variant, r: number, isBeforeCap: boolean): string {
  const { dropout } = variant;
  const softcap = variant.softcap && isBeforeCap;
  return `${visibleKeys(variant, r)}
    let y${r} = capped(x${r});
    let p${r} = exp(scored(y${r}, vec4i(i${r}), j4) - lse${r});
    let ds${r} = select(vec4f(), p${r} * (dp${r}${dropout ? ` * keepRow(i${r}, j4.x)` : ''} - rowSum${r})${softcap ? ` * capSlope(y${r})` : ''}, can${r});`;
}
