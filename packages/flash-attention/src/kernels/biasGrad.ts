import { gpuProgram } from '@evenkeel/core-tensor';
import { loadQuery, PRODUCTS, scoreGradient } from './backwardQuery.ts';
import { keyRange, queryRows } from './queries.ts';
import { enterGroup, enterHead, enterSequence, scoreFunctions } from './scores.ts';
import { blockRows } from './tile.ts';
import { extraBinding, featuresOf, loadTile, threadPlace, tileArrays, withProducts } from './tiles.ts';
import { each, factorBinding, loader, programOf, UNIFORMS, type Variant } from './variant.ts';

/**
 * biasGradProgram — the gradient of a bias that has an axis of keys: ds, summed over the axes along which the bias is broadcast. (Softmax
 * does not see a bias that is the same for all keys.)
 *
 * One workgroup per tile of keys and block of queries of each head and sequence that the bias has; it goes through all that share this
 * part of the bias in a fixed order. They are [tiles of keys, blocks of queries or 1, (heads or 1) · (sequences or 1)].
 * Bindings: q, k, v, dy, extra, bias, dbias.
 */
export const biasGradProgram = programOf((variant) => {
  const { tile, queryAxis, mask } = variant;
  const steps = tile.keys / 4;
  return gpuProgram({
    name: 'attentionBiasGrad',
    bindings: {
      q: factorBinding(variant), k: factorBinding(variant), v: factorBinding(variant), dy: factorBinding(variant),
      ...extraBinding(variant, true), bias: 'read f32', dbias: 'write f32',
    },
    uniforms: UNIFORMS,
    workgroupSize: tile.threads,
    enable: featuresOf(tile),
    declarations: [
      ...['q', 'k', 'v', 'dy'].map((name) => loader(name, variant)), tileArrays(['k', 'v'], variant, 2), scoreFunctions(variant),
      `var<workgroup> sums: array<vec4f, ${tile.threads}>;`,
    ].join('\n'),
    main: [
      enterGroup(variant),
      `var<function> sum: array<vec4f, ${steps}>;
      let ownHead = place.z % u.biasHeads; let ownBatch = place.z / u.biasHeads;
      let headEnd = select(u.heads, ownHead + 1u, u.biasH > 0u); let batchEnd = select(u.batches, ownBatch + 1u, u.biasB > 0u);`,
      'for (var batch = ownBatch; batch < batchEnd; batch++) { for (var head = ownHead; head < headEnd; head++) {',
      enterSequence(variant), enterHead(variant), threadPlace(tile),
      queryAxis ? 'let rowBlock = place.y; {' : `for (var rowBlock = 0u; rowBlock < u32(t + ${blockRows(tile) - 1}) / ${blockRows(tile)}u; rowBlock++) {`,
      queryRows(variant), keyRange(variant), loadQuery(variant, 0),
      `let start = i32(place.x) * ${tile.keys};
      if (start < end && start + ${tile.keys} > keyFrom${mask === 'none' ? '' : ` && isTileKept(begin, last + 1, start, min(start + ${tile.keys}, end))`}) {`,
      `let count = u32(min(${tile.keys}, end - start));
      workgroupBarrier();
      ${loadTile(['k', 'v'], variant, ['u.kAt + kBase + u32(n) * u.kRow', 'u.vAt + kBase + u32(n) * u.kRow'])}
      workgroupBarrier();`,
      withProducts(PRODUCTS, variant, 'count', `let j4 = vec4i(start + i32(n)) + vec4i(0, 1, 2, 3);
        ${scoreGradient(variant, 0, false)} sum[n / 4u] += ds0;`),
      '} } } }',
      `let biasFrom = ownBatch * u.biasB + ownHead * u.biasH; let firstKey = i32(place.x) * ${tile.keys};`,
      queryAxis ? rowResult(variant) : totalResult(variant),
    ].join('\n'),
  });
});

/** The bias has a row for each query: each thread has the sums of its own. */
function rowResult({ tile }: Variant): string {
  return `${threadPlace(tile)}
  let i = i32(place.y) * ${blockRows(tile)} + row;
  if (i >= u.t || part > 0u) { return; }
  let at = biasFrom + u32(i) * u.biasI;
  for (var n = 0; n < ${tile.keys}; n++) { if (firstKey + n < u.s) { dbias[at + u32(firstKey + n) * u.biasJ] = sum[n / 4][n % 4]; } }`;
}

/** The queries share a row of the bias: the first thread adds up those of all others. */
function totalResult({ tile }: Variant): string {
  const { threads, split, lanes, keys } = tile;
  return each(keys / 4, (n) => `workgroupBarrier();
    sums[localIndex] = sum[${n}];
    workgroupBarrier();
    if (localIndex == 0u) {
      var total = vec4f();
      for (var row = 0u; row < ${lanes ? threads / split : threads}u; row += ${lanes ? 1 : split}u) { total += sums[row]; }
      for (var l = 0; l < 4; l++) { let j = firstKey + ${4 * n} + l; if (j < u.s) { dbias[biasFrom + u32(j) * u.biasJ] = total[l]; } }
    }`);
}
