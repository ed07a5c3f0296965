// The gradient of attention's bias: ds, summed over the axes along which the bias is broadcast.
// A chunk is what one batch entry, head, block of queries and block of keys of the bias get, of those axes that the bias has: it visits
// all tiles that use them in a fixed order, so the result does not depend on the number of threads.
import { intArg, pointerArg } from './args';
import { addRow } from './attentionGrad';
import { gradientsIn, gradTile, loadKeys, TILE_ROW, tileColumns } from './attentionGradTile';
import { biasAt, BLOCK, STRIP } from './attentionTile';
import { sumOf } from './reduce';

/**
 * attentionBiasGrad — args as in attentionTile.ts, then 37 the bias's gradient (laid out as the bias), 38 b.
 * Chunks: the product of b, heads, ⌈t / 64⌉ and ⌈s / 64⌉, without those along which the bias is broadcast.
 */
export function attentionBiasGrad(chunk: i32, args: usize, scratch: usize): void {
  const t = intArg(args, 5), s = intArg(args, 6), heads = intArg(args, 7), batches = intArg(args, 38);
  const group = heads / intArg(args, 8);
  const hasBatch = intArg(args, 18) != 0, hasHead = intArg(args, 19) != 0, hasQuery = intArg(args, 20) != 0, hasKey = intArg(args, 21) != 0;
  const keyBlocks = hasKey ? (s + BLOCK - 1) / BLOCK : 1;
  const queryBlocks = hasQuery ? (t + BLOCK - 1) / BLOCK : 1;
  const firstStart = hasKey ? (chunk % keyBlocks) * BLOCK : 0;
  const firstQuery = hasQuery ? (chunk / keyBlocks % queryBlocks) * BLOCK : 0;
  const rest = chunk / keyBlocks / queryBlocks;
  const firstHead = hasHead ? rest % heads : 0;
  const firstBatch = hasBatch ? rest / (hasHead ? heads : 1) : 0;
  const endKey = hasKey ? min(s, firstStart + BLOCK) : s;
  const endQuery = hasQuery ? min(t, firstQuery + BLOCK) : t;
  const endHead = hasHead ? firstHead + 1 : heads;
  const endBatch = hasBatch ? firstBatch + 1 : batches;

  const endRow = hasQuery ? endQuery : 1;
  for (let i = firstQuery; i < endRow; i++) {
    const row = pointerArg(args, 37) + biasAt(args, firstBatch, firstHead, i, firstStart);
    memory.fill(row, 0, hasKey ? <usize>(endKey - firstStart) << 2 : 4);
  }
  for (let batch = firstBatch; batch < endBatch; batch++) {
    for (let head = firstHead; head < endHead; head++) {
      for (let start = firstStart; start < endKey; start += BLOCK) {
        loadKeys(args, batch, head / group, start, scratch);
        for (let first = firstQuery; first < endQuery; first += STRIP) {
          const seen = tileColumns(args, first, start);
          if (seen == 0) continue;
          gradTile(args, batch, head, first, start, seen, false, scratch);
          addTile(args, batch, head, first, start, seen, scratch);
        }
      }
    }
  }
}

/** Adds the tile of ds in scratch to the gradient. */
function addTile(args: usize, batch: i32, head: i32, first: i32, start: i32, columns: i32, scratch: usize): void {
  const rows = min(STRIP, intArg(args, 5) - first);
  let row = gradientsIn(scratch, intArg(args, 9));
  for (let i = first; i < first + rows; i++, row += TILE_ROW) {
    const to = pointerArg(args, 37) + biasAt(args, batch, head, i, start);
    if (intArg(args, 21) != 0) addRow(to, row, columns);
    else store<f32>(to, load<f32>(to) + sumOf(row, columns));
  }
}
