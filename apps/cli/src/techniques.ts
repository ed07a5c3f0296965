import type { GradientTransform, ParamSpec, Schedule, Tree } from '@evenkeel/core-tensor';
import { gpt, type Gpt, type GptSizes, type GptTechniques } from '@evenkeel/models-gpt';
import { qkNorm, rmsNormLayer } from '@evenkeel/norms';
import { adamw, chain, clipByGlobalNorm, decayMask, sgd } from '@evenkeel/optimizers';
import { sigmaReparam } from '@evenkeel/sigma-reparam';
import { scheduleOf, type ScheduleSettings } from './schedule.ts';
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
  readonly optimizer: (typeof OPTIMIZERS)[number];
  /** Whether weight decay is multiplied by the learning rate, or by its share of the highest one. */
  readonly weightDecayMode: (typeof DECAY_MODES)[number];
};

/** PLAIN — GPT-2 and AdamW as they are. */
export const PLAIN: TechniqueSettings = {
  placement: 'pre', norm: 'layer', qkNorm: false, sigmaReparam: 'none', untiedHead: false, zLoss: 0, optimizer: 'adamw', weightDecayMode: 'coupled',
};

/** LEARNING_RATES — the highest learning rate of a run that does not say one. */
export const LEARNING_RATES: Readonly<Record<TechniqueSettings['optimizer'], number>> = { adamw: 1e-3, sgd: 0.1 };

/** WEIGHT_DECAYS — the decay of a run that does not say one. */
export const WEIGHT_DECAYS: Readonly<Record<TechniqueSettings['weightDecayMode'], number>> = { coupled: 0.1, independent: 1e-4 };

/** modelOf — a GPT of some sizes that computes with some techniques. */
export function modelOf(sizes: GptSizes, techniques: ModelTechniques): Gpt {
  return gpt({ ...sizes, ...valuesOf(techniques, sizes) });
}

/** trainedModelOf — the same, with what concerns its training alone. */
export function trainedModelOf(sizes: GptSizes, techniques: TechniqueSettings): Gpt {
  const { zLoss, untiedHead, sigmaReparam: gammaInit } = techniques;
  return gpt({ ...sizes, tiedHead: !untiedHead, zLoss, ...valuesOf(techniques, sizes), ...(gammaInit !== 'none' && { linear: sigmaReparam({ gammaInit, bias: sizes.bias }) }) });
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

export type OptimizerSettings = ScheduleSettings & Pick<TechniqueSettings, 'optimizer' | 'weightDecayMode'> & {
  readonly weightDecay: number;
  /** Largest global norm of the gradient; 0 for no limit. */
  readonly clip: number;
};

/** BETA2 — nanoGPT's for small batches: a longer memory than GPT-3's 0.95, since a step sees few tokens. */
export const BETA2 = 0.99;

/** optimizerFor — the optimizer of a run, decaying matrices and embeddings only, behind global-norm clipping; and its learning rate. */
export function optimizerFor(settings: OptimizerSettings, specs: Tree<ParamSpec>): { optimizer: GradientTransform; schedule: Schedule } {
  const { clip } = settings;
  const schedule = scheduleOf(settings);
  const step = stepOf(settings, schedule, specs);
  return { optimizer: clip > 0 ? chain(clipByGlobalNorm(clip), step) : step, schedule };
}

function stepOf({ optimizer, weightDecay: decay, weightDecayMode, learningRate: peak }: OptimizerSettings, learningRate: Schedule, specs: Tree<ParamSpec>): GradientTransform {
  const weightDecay = weightDecayMode === 'independent' ? decay / peak : decay;
  const common = { learningRate, weightDecay, mask: decayMask(specs) };
  if (optimizer === 'sgd') return sgd({ ...common, momentum: 0.9 }) as GradientTransform;
  return adamw({ ...common, beta2: BETA2 }) as GradientTransform;
}
