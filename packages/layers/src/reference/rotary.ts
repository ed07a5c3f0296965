import { add, concat, mul, neg, reshape, slice, split, stack, sub, tensor, unstack, type Tensor } from '@tensorflow/tfjs-core';

/** RotaryAttrs — `table`: rows × rotaryDim (cosines, then sines), a row per position, or per position of each sequence. */
export type RotaryAttrs = { table: Float32Array; rotaryDim: number; interleaved: boolean; inverse: boolean };

/** referenceRotary — the rotation in tfjs ops: the truth that kernels are held to, differentiable to every order. */
export function referenceRotary({ x }: { x: Tensor }, { table, rotaryDim, interleaved, inverse }: RotaryAttrs): Tensor {
  const [B, T, H, D] = x.shape as [number, number, number, number];
  const half = rotaryDim / 2;
  const rows = table.length / rotaryDim;
  const angles = tensor(table, [T === 0 ? 1 : rows / T, T, 1, rotaryDim], 'float32'); // 1|b t 1 r
  const [cos, sine] = split(angles, 2, -1) as [Tensor, Tensor]; // 1|b t 1 r/2
  const sin = inverse ? neg(sine) : sine;
  const turned = slice(x, [0, 0, 0, 0], [-1, -1, -1, rotaryDim]); // b t h r
  const [a, b] = (interleaved ? unstack(reshape(turned, [B, T, H, half, 2]), -1) : split(turned, 2, -1)) as [Tensor, Tensor]; // b t h r/2
  const pair = [sub(mul(a, cos), mul(b, sin)), add(mul(b, cos), mul(a, sin))];
  const y = interleaved ? reshape(stack(pair, -1), turned.shape) : concat(pair, -1); // b t h r
  return rotaryDim === D ? y : concat([y, slice(x, [0, 0, 0, rotaryDim], [-1, -1, -1, D - rotaryDim])], -1);
}
