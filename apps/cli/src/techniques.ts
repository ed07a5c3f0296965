import type { StackTechniques } from '@evenkeel/layers';
import { qkNorm, rmsNormLayer } from '@evenkeel/norms';
import { sigmaReparam } from '@evenkeel/sigma-reparam';
import { flagOf } from './flags.ts';
import type { DECAY_MODES, GAMMAS, NORMS, OPTIMIZERS, PLACEMENTS } from './techniqueNames.ts';

/** ModelTechniques — what a model computes with besides its sizes, as plain data: a saved model says it of itself. */
export type ModelTechniques = {
  /** Where the norms of a block stand; `own` where the model has a placement without a name, as BERT. */
  readonly placement: (typeof PLACEMENTS)[number] | 'own';
  /** Which norm stands there, and before the head. */
  readonly norm: (typeof NORMS)[number];
  /** Whether queries and keys are normalised. */
  readonly qkNorm: boolean;
};

/** CommonTechniques — the techniques of a run that every kind of model has, as plain data; kept in `run.json`. */
export type CommonTechniques = ModelTechniques & {
  /** What the gammas of reparametrised linears start at, or none. Of no concern to a saved model: its weights are plain. */
  readonly sigmaReparam: (typeof GAMMAS)[number];
  readonly optimizer: OptimizerName;
  /** Whether weight decay is multiplied by the learning rate, or by its share of the highest one. */
  readonly weightDecayMode: (typeof DECAY_MODES)[number];
  /** The width at which the learning rate is right for a model that is wider; 0 if it is meant for this one. */
  readonly mup: number;
};

/** TechniqueSettings — those of a GPT. */
export type TechniqueSettings = CommonTechniques & {
  /** Whether the head is a matrix of its own. */
  readonly untiedHead: boolean;
  /** Factor of the z-loss; 0 for none. */
  readonly zLoss: number;
};

export type OptimizerName = (typeof OPTIMIZERS)[number];

/** PLAIN_COMMON — a pre-norm model and AdamW as they are. */
export const PLAIN_COMMON: CommonTechniques = { placement: 'pre', norm: 'layer', qkNorm: false, sigmaReparam: 'none', optimizer: 'adamw', weightDecayMode: 'coupled', mup: 0 };

/** PLAIN — GPT-2 and AdamW as they are. */
export const PLAIN: TechniqueSettings = {
  placement: 'pre', norm: 'layer', qkNorm: false, sigmaReparam: 'none', untiedHead: false, zLoss: 0, optimizer: 'adamw', weightDecayMode: 'coupled', mup: 0,
};

/**
 * stackTechniquesOf — the techniques of a model's blocks as values; nothing for what is the model's own.
 *
 * @param own  the placement that is the model's own, and the epsilon of its norms.
 */
export function stackTechniquesOf({ placement, norm, qkNorm: isNormed }: ModelTechniques, { own, normEps }: { own: string; normEps: number }): StackTechniques {
  return {
    ...(placement !== own && placement !== 'own' && { placement }),
    ...(norm === 'rms' && { norm: rmsNormLayer({ eps: normEps }) }),
    ...(isNormed && { qkNorm: qkNorm({ kind: norm }) }),
  };
}

/** reparametrised — `{ linear }` whose spectral norm is learned; nothing if it is not to be. */
export function reparametrised(gammaInit: CommonTechniques['sigmaReparam'], bias = true): Pick<StackTechniques, 'linear'> {
  return gammaInit === 'none' ? {} : { linear: sigmaReparam({ gammaInit, bias }) };
}

/** techniquesInWords — as flags, those that depart from the plain model: `--placement peri --qk-norm`. */
export function techniquesInWords<T extends object>(settings: T, plain: Partial<T> = PLAIN as object): string {
  const names = Object.keys(plain) as (keyof T & string)[];
  return names.filter((name) => settings[name] !== plain[name]).map((name) => (settings[name] === true ? flagOf(name) : `${flagOf(name)} ${String(settings[name])}`)).join(' ');
}
