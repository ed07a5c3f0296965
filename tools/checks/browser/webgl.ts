/** Attention and its gradients on tfjs' own WebGL backend, which has no kernels of ours, against what PyTorch computed. */
import { vjp } from '@evenkeel/core-tensor';
import { flashAttention, flashAttentionVarlen, type FlashAttentionOptions, type FlashAttentionVarlenOptions } from '@evenkeel/flash-attention';
import '@tensorflow/tfjs-backend-webgl';
import { dispose, env, memory, setBackend, tensor, type Tensor } from '@tensorflow/tfjs-core';
import golden from '../../../packages/flash-attention/test/golden/attention.json' with { type: 'json' };

type Stored = { shape: number[]; values: (number | string)[] };
type Case = Record<'q' | 'k' | 'v' | 'dy' | 'out' | 'dq' | 'dk' | 'dv', Stored> & { name: string; options: { blockMask?: number[][] }; lengths?: number[][] };

/** WebglRun — `precision`: bits of a float there; `worst`: how much of the allowed error each case has, at most 1 if it is right. */
export type WebglRun = { precision: number; worst: { name: string; share: number }[]; leaked: number };

const numbers = ({ values }: Stored): number[] => values.map(Number);
const load = (stored: Stored): Tensor => tensor(numbers(stored), stored.shape);

export async function attentionOnWebgl(): Promise<WebglRun> {
  if (!(await setBackend('webgl'))) throw new Error('the webgl backend of tfjs did not start');
  env().set('WEBGL_CPU_FORWARD', false); // small tensors too must reach the shaders
  const cases = [...golden.cases, ...golden.general, ...golden.varlen] as unknown as Case[];
  const before = memory().numTensors;
  const worst = [];
  for (const each of cases) worst.push({ name: each.name, share: await shareOf(each) });
  return { precision: env().getBool('WEBGL_RENDER_FLOAT32_ENABLED') ? 32 : 16, worst, leaked: memory().numTensors - before };
}

async function shareOf({ lengths, options: { blockMask: tiles, ...plain }, ...stored }: Case): Promise<number> {
  const blockMask = tiles && tensor(tiles, undefined, 'int32');
  const options: object = { ...plain, ...(blockMask && { blockMask }) };
  const [q, k, v, dy] = [stored.q, stored.k, stored.v, stored.dy].map(load) as [Tensor, Tensor, Tensor, Tensor];
  const attend = (): Tensor => {
    if (lengths === undefined) return flashAttention(q, k, v, options as FlashAttentionOptions & { returnLse?: false });
    const [cuQ, cuK] = lengths.map((all) => all.reduce((ends, length) => [...ends, (ends.at(-1) as number) + length], [0])) as [number[], number[]];
    return flashAttentionVarlen(q, k, v, cuQ, cuK, options as FlashAttentionVarlenOptions & { returnLse?: false });
  };
  const { value, grads } = vjp(attend, [q, k, v], dy);
  const results = [value, ...grads];
  const shares = await Promise.all(results.map(async (result, i) => {
    const expected = numbers([stored.out, stored.dq, stored.dk, stored.dv][i] as Stored);
    const found = [...await result.data()];
    return Math.max(...expected.map((number, at) => Math.abs((found[at] as number) - number) / (1e-5 + 1e-4 * Math.abs(number))));
  }));
  dispose([q, k, v, dy, ...results, ...(blockMask ? [blockMask] : [])]);
  return Math.max(...shares.map((share) => (Number.isNaN(share) ? Infinity : share)));
}
