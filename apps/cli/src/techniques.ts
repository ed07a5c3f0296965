import { gpt, type Gpt, type GptSizes, type GptTechniques } from '@evenkeel/models-gpt';
import { qkNorm, rmsNormLayer } from '@evenkeel/norms';
import { sigmaReparam } from '@evenkeel/sigma-reparam';
import { flagOf } from './flags.ts';
import type { DECAY_MODES, GAMMAS, NORMS, OPTIMIZERS, PLACEMENTS } from './techniqueNames.ts';

/** ModelTechniques — what a model computes with besides its sizes, as plain data: a saved model says it of itself. */
export type ModelTechniques = {
  /** Where the norms of a block stand. */
  readonly placement: (typeof PLACEMENTS)[number];
  /** Which norm stands there, and before the head. */
  readonly norm: (typeof NORMS)[number];
  /** Whether queries and keys are normalised. */
  readonly qkNorm: boolean;
};

/** TechniqueSettings — the techniques of a run, as plain data; kept in `run.json`. */
export type TechniqueSettings = ModelTechniques & {
  /** What the gammas of reparametrised linears start at, or none. Of no concern to a saved model: its weights are plain. */
  readonly sigmaReparam: (typeof GAMMAS)[number];
  /** Whether the head is a matrix of its own. */
  readonly untiedHead: boolean;
  /** Factor of the z-loss; 0 for none. */
  readonly zLoss: number;
  readonly optimizer: OptimizerName;
  /** Whether weight decay is multiplied by the learning rate, or by its share of the highest one. */
  readonly weightDecayMode: (typeof DECAY_MODES)[number];
  /** The width at which the learning rate is right for a model that is wider; 0 if it is meant for this one. */
  readonly mup: number;
};

export type OptimizerName = (typeof OPTIMIZERS)[number];

/** PLAIN — GPT-2 and AdamW as they are. */
export const PLAIN: TechniqueSettings = {
  placement: 'pre', norm: 'layer', qkNorm: false, sigmaReparam: 'none', untiedHead: false, zLoss: 0, optimizer: 'adamw', weightDecayMode: 'coupled', mup: 0,
};

/** modelOf — a GPT of some sizes that computes with some techniques. */
export function modelOf(sizes: GptSizes, techniques: ModelTechniques): Gpt {
  return gpt({ ...sizes, ...valuesOf(techniques, sizes) });
}

/** trainedModelOf — the same, with what concerns its training alone. */
export function trainedModelOf(sizes: GptSizes, techniques: TechniqueSettings): Gpt {
  const { zLoss, untiedHead, sigmaReparam: gammaInit } = techniques;
  const reparametrised = gammaInit !== 'none' && { linear: sigmaReparam({ gammaInit, bias: sizes.bias }), ...(untiedHead && { head: sigmaReparam({ gammaInit, bias: false }) }) };
  return gpt({ ...sizes, tiedHead: !untiedHead, zLoss, ...valuesOf(techniques, sizes), ...reparametrised });
}

/** The techniques as values; nothing for what is GPT-2's own. */
function valuesOf({ placement, norm, qkNorm: isNormed }: ModelTechniques, { normEps = 1e-5 }: GptSizes): GptTechniques {
  return {
    ...(placement !== 'pre' && { placement }),
    ...(norm === 'rms' && { norm: rmsNormLayer({ eps: normEps }) }),
    ...(isNormed && { qkNorm: qkNorm({ kind: norm }) }),
  };
}

/** techniquesInWords — as flags, those that depart from the plain model: `--placement peri --qk-norm`. */
export function techniquesInWords(settings: TechniqueSettings): string {
  const names = Object.keys(PLAIN) as (keyof TechniqueSettings)[];
  return names.filter((name) => settings[name] !== PLAIN[name]).map((name) => (settings[name] === true ? flagOf(name) : `${flagOf(name)} ${settings[name]}`)).join(' ');
}
