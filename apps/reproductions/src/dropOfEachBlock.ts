import { clone, dispose, tidy, zerosLike, type TensorContainer, type Variable } from '@tensorflow/tfjs-core';
import { treeEntries, type Params, type Tree } from '@evenkeel/core-tensor';
import type { Batch } from '@evenkeel/data';
import type { Gpt, GptParams } from '@evenkeel/models-gpt';
import { meanLoss } from './trainArm.ts';

/**
 * dropOfEachBlock — by how much the loss rises when one block is removed, for each block: both of its projections into the residual stream
 * are set to zero, and set back. For placements whose norms stand before the sub-layers.
 */
export async function dropOfEachBlock(model: Gpt, params: Params & GptParams, batches: readonly Batch[]): Promise<number[]> {
  const whole = await meanLoss(model, params, {}, batches);
  const drops: number[] = [];
  for (let block = 0; block < model.config.depth; block++) drops.push(await withoutBlock(params, block, () => meanLoss(model, params, {}, batches)) - whole);
  return drops;
}

async function withoutBlock<T>(params: Params & GptParams, block: number, f: () => Promise<T>): Promise<T> {
  const written = treeEntries<Variable>(params.blocks[block] as Tree<Variable>).filter(([path]) => /^(attn\.proj|mlp\.down)\./.test(path)).map(([, variable]) => variable);
  const kept = written.map((variable) => clone(variable));
  try {
    for (const variable of written) tidy(() => variable.assign(zerosLike(variable)));
    return await f();
  } finally {
    written.forEach((variable, i) => variable.assign(kept[i] as never));
    dispose(kept as TensorContainer);
  }
}
