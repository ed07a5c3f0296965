import { checkFunction, checkOneOf, ConfigError } from '@evenkeel/core-tensor';

/** PlacementName — the placements that have a name; `peri` is also known as sandwich norm. */
export type PlacementName = 'pre' | 'post' | 'peri' | 'output' | 'lns' | 'deepnorm' | 'none';

/** BlockPlace — which block of a model: `block` from 0, of `depth`. The index is that of the whole model, wherever the block is computed. */
export type BlockPlace = { readonly block: number; readonly depth: number };

/**
 * PlacementRule — where the norms of a block stand, and what is scaled. For each of its two sub-layers f:
 *
 *     z = inputScale · norm_input(x)
 *     b = drop(branch(norm_output(outputScale · f(z))))
 *     y = norm_sum(residualScale · x + b)
 *
 * with the norms that `input`, `output` and `sum` ask for, and each factor 1 where it is absent; `branch` is the block's, nothing by default.
 */
export type PlacementRule = {
  readonly input?: boolean;
  readonly output?: boolean;
  readonly sum?: boolean;
  /** Whether the model has one more norm before its head. */
  readonly final?: boolean;
  readonly inputScale?: (at: BlockPlace) => number;
  readonly outputScale?: (at: BlockPlace) => number;
  readonly residualScale?: (at: BlockPlace) => number;
  /** Whether the projections into the residual stream start smaller by 1/√(2·depth), as in GPT-2. */
  readonly shrinkInit?: boolean;
  /** Factor of the first values of the MLP, of the attention's output projection and of its value rows, whatever the linears start with. */
  readonly initScale?: (at: BlockPlace) => number;
};

/** Placement — where the norms stand: by name, or as a rule of one's own. */
export type Placement = PlacementName | PlacementRule;

/** layerNormScale — 1/√l for block l counted from 1; Sun et al. 2025, arXiv:2502.05795. */
const layerNormScale = ({ block }: BlockPlace): number => 1 / Math.sqrt(block + 1);

export type LayerNormScalingOptions = {
  /** Where the factor acts: on the normalised input (default), or on what the sub-layer gives, which is better in vision transformers. */
  readonly position?: 'afterNorm' | 'afterSublayer';
};

/**
 * layerNormScaling — pre-norm whose norms in block l = 1, 2, … are multiplied by 1/√l, so that deep blocks keep contributing.
 *
 * @param options  `position`: `afterNorm` (default; what the name `lns` means) or `afterSublayer`.
 * @throws ConfigError  if `position` is neither.
 *
 * Source: Sun et al. 2025, arXiv:2502.05795, §4 and table 6. Projections start at their full size: smaller ones weaken the effect.
 */
export function layerNormScaling({ position = 'afterNorm' }: LayerNormScalingOptions = {}): PlacementRule {
  checkOneOf('layerNormScaling', 'position', position, ['afterNorm', 'afterSublayer']);
  return { input: true, final: true, ...(position === 'afterNorm' ? { inputScale: layerNormScale } : { outputScale: layerNormScale }) };
}

/** The placements by name, with the paper of each. */
const PLACEMENTS: Readonly<Record<PlacementName, PlacementRule>> = {
  pre: { input: true, final: true, shrinkInit: true }, // Xiong et al. 2020, arXiv:2002.04745
  post: { sum: true, shrinkInit: true }, // Vaswani et al. 2017, arXiv:1706.03762
  // A norm behind a projection takes its size away, and a small one only learns faster: so these two start at full size.
  peri: { input: true, output: true, final: true }, // Kim et al. 2025, arXiv:2502.02732
  output: { output: true, final: true }, // OLMo 2, 2024, arXiv:2501.00656
  lns: layerNormScaling(),
  // Wang et al. 2022, arXiv:2203.00555, §3, for a decoder or an encoder alone. Departs from the paper where linears start otherwise than by Xavier.
  deepnorm: {
    sum: true, residualScale: ({ depth }) => (2 * depth) ** 0.25, initScale: ({ depth }) => (8 * depth) ** -0.25,
  },
  none: { shrinkInit: true },
};

const FLAGS = ['input', 'output', 'sum', 'final', 'shrinkInit'] as const satisfies (keyof PlacementRule)[];
const SCALES = ['inputScale', 'outputScale', 'residualScale', 'initScale'] as const satisfies (keyof PlacementRule)[];

/**
 * placementRule — the rule of a placement, checked.
 *
 * @param fn  whose argument it is, for errors.
 * @throws ConfigError  if the name is unknown, or a rule has other properties than PlacementRule or such of another type.
 */
export function placementRule(fn: string, placement: Placement): PlacementRule {
  if (typeof placement === 'string') {
    checkOneOf(fn, 'placement', placement, Object.keys(PLACEMENTS) as PlacementName[]);
    return PLACEMENTS[placement];
  }
  if (typeof placement !== 'object' || placement === null) throw new ConfigError(`${fn}: placement must be a name or a PlacementRule, got ${String(placement)}`);
  for (const [name, value] of Object.entries(placement)) {
    checkOneOf(fn, "placement's properties", name, [...FLAGS, ...SCALES]);
    if (value === undefined) continue;
    if ((SCALES as readonly string[]).includes(name)) checkFunction(fn, `placement.${name}`, value, '({ block, depth }) => number');
    else if (typeof value !== 'boolean') throw new ConfigError(`${fn}: placement.${name} must be a boolean, got ${String(value)}`);
  }
  return placement;
}

/** factorAt — one of the factors of a rule for a block. */
export function factorAt(rule: PlacementRule, name: (typeof SCALES)[number], at: BlockPlace): number {
  const factor = rule[name]?.(at) ?? 1;
  if (!Number.isFinite(factor)) throw new ConfigError(`transformerBlock: placement.${name} must give a finite number, got ${String(factor)} for block ${at.block} of ${at.depth}`);
  return factor;
}
