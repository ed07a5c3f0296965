import type { LayerPlace, ParamSpec } from '@evenkeel/core-tensor';

/** normSpec — the spec of one number per channel; `role` is `norm` for a gain and `bias` for an offset. */
export function normSpec(dim: number, role: 'norm' | 'bias', { block, outAxis = 'dim' }: LayerPlace = {}): ParamSpec {
  return { shape: [dim], axes: outAxis, role, ...(block === undefined ? {} : { block }) };
}
