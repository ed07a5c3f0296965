import { blockRows } from './tile.ts';
import { loadTile } from './tiles.ts';
import { each, type Variant } from './variant.ts';

/** The pieces of the passes in which threads have queries and go through the keys: all but that of the keys' and values' gradients. */

/** queryRows — rows `i{r}` of this thread, and the keys `first{r}` … that they see, `seen{r}` of them. */
export function queryRows({ tile }: Variant): string {
  return `let begin = i32(rowBlock) * ${blockRows(tile)};
  if (begin >= t) { return; }
  ${each(tile.rows, (r) => `let i${r} = begin + ${r * (tile.threads / tile.split)} + row;
    let first${r} = max(0, i${r} + delta - u.left);
    let seen${r} = select(0u, u32(max(0, min(s, i${r} + delta + u.right + 1) - first${r})), i${r} < t);`)}`;
}

/** keyRange — the keys that some query of the block sees: `keyFrom` (where a tile begins) … `end` − 1. */
export function keyRange({ headDim, tile }: Variant): string {
  return `let last = min(t, begin + ${blockRows(tile)}) - 1;
  let keyFrom = max(0, begin + s - t - u.left) / ${tile.keys} * ${tile.keys};
  let end = min(s, last + s - t + u.right + 1);
  let kBase = batch * u.kBatch + u32(kStart) * u.kRow + head / u.group * ${headDim}u;`;
}

/** queryAt — the element of q (or dq) where the row of query `i` begins. */
export const queryAt = (i: string, { headDim }: Variant): string => `batch * u.qBatch + u32(qStart + ${i}) * u.qRow + head * ${headDim}u`;

/** outAt — the element of out (or dy) where the row of query `i` begins. */
export const outAt = (i: string, { headDim }: Variant): string => `batch * u.oBatch + u32(qStart + ${i}) * u.oRow + head * ${headDim}u`;

/** keyTiles — `body` for each tile of keys that some query of the block sees, with its keys and values in workgroup memory. */
export function keyTiles(variant: Variant, body: string): string {
  const { tile, mask } = variant;
  return `for (var start = keyFrom; start < end; start += ${tile.keys}) {
    let count = u32(min(${tile.keys}, end - start));
    ${mask === 'none' ? '' : `if (!isTileKept(begin, last + 1, start, start + i32(count))) { continue; }`}
    workgroupBarrier();
    ${loadTile(['k', 'v'], variant, ['u.kAt + kBase + u32(n) * u.kRow', 'u.vAt + kBase + u32(n) * u.kRow'])}
    workgroupBarrier();
    ${body}
  }`;
}

/** visibleKeys — `can{r}`: which of keys j4 query i{r} sees. */
export const visibleKeys = ({ mask }: Variant, r: number): string =>
  `let can${r} = (vec4u(j4 - first${r}) < vec4u(seen${r}))${mask === 'elements' ? ` & isKept(vec4i(i${r}), j4)` : ''};`;
