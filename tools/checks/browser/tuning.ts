/** What a page finds when it times the kernels of its GPU, and what a later visit still knows of it: browsers keep it in IndexedDB. */
import { useDevice } from '@evenkeel/core-tensor';
import { tune, webgpu } from '@evenkeel/webgpu-kernels';
import { matMul, tensor2d } from '@tensorflow/tfjs-core';

/** TuningVisit — the classes that were timed, of how many ways each, and a product by what is then known. */
export type TuningVisit = { timed: { class: string; ways: number }[]; product: number[] };

/** tuneProduct — times the kernels for a small product, unless an earlier visit did. */
export async function tuneProduct(): Promise<TuningVisit> {
  await useDevice('webgpu', [webgpu({ tuning: 'auto' })]);
  const timed = await tune([{ m: 2, n: 2, k: 2 }]);
  const [x, y] = [tensor2d([[1, 2], [3, 4]]), tensor2d([[5, 6], [7, 8]])];
  return { timed: timed.map(({ class: of, milliseconds }) => ({ class: of, ways: Object.keys(milliseconds).length })), product: [...await matMul(x, y).data()] };
}
