import { UsageError } from '../errors.ts';
import { isBoolean, isCount, isNumber, isOneOf, isShare, isText, orNull, type Test } from '../fields.ts';
import { checkModelSettings, MODEL_TESTS, modelSettings, type ModelFlags, type ModelSettings } from '../modelSettings.ts';
import { savedPath } from '../runSettings.ts';
import { AUGMENTS } from '../techniqueNames.ts';
import { PLAIN_COMMON } from '../techniques.ts';

/** AugmentationSettings — what happens to the images of training batches. */
export type AugmentationSettings = {
  readonly augment: (typeof AUGMENTS)[number];
  /** Of the Beta distributions; 0 for none. */
  readonly mixup: number;
  readonly cutmix: number;
  readonly labelSmoothing: number;
  /** How often each image stands in its batch. */
  readonly repeatedAugmentation: number;
};

/** VitSettings — what decides the numbers of a training run of a vision transformer. */
export type VitSettings = ModelSettings & AugmentationSettings & {
  /** Absolute path of the images, or null for MNIST's test set. */
  readonly data: string | null;
  /** Of validation images; null for a share of the others. */
  readonly valData: string | null;
  /** Pixels along both sides. */
  readonly imageSize: number;
  /** Whether images are scaled to it, or have it. */
  readonly isScaled: boolean;
  readonly patchSize: number;
  /** Probability of leaving out a residual branch of the last block. */
  readonly dropPath: number;
  /** First value of the factors of residual branches; 0 for none. */
  readonly layerScale: number;
  /** Decay of the average of the parameters; 0 for none. */
  readonly ema: number;
};

export const AUGMENTATION_TESTS = {
  augment: isOneOf(AUGMENTS), mixup: isNumber, cutmix: isNumber, labelSmoothing: isShare, repeatedAugmentation: isCount,
} as const satisfies Readonly<Record<keyof AugmentationSettings, Test>>;

/** VIT_TESTS — what each of them must be, where a file says it. */
export const VIT_TESTS = {
  data: orNull(isText), valData: orNull(isText), ...MODEL_TESTS, imageSize: isCount, isScaled: isBoolean, patchSize: isCount, ...AUGMENTATION_TESTS, dropPath: isShare, layerScale: isNumber, ema: isShare,
} as const satisfies Readonly<Record<keyof VitSettings, Test>>;

/** AugmentationFlags — the flags of `AugmentationSettings`, as parsed. */
export type AugmentationFlags = Partial<AugmentationSettings>;

/** TrainVitFlags — the flags of `train vit` that become settings, as parsed. */
export type TrainVitFlags = ModelFlags & AugmentationFlags & Partial<Pick<VitSettings, 'imageSize' | 'patchSize' | 'dropPath' | 'layerScale' | 'ema'>> & {
  readonly data?: string;
  readonly valData?: string;
  readonly epochs?: number;
};

const STEPS = 1000;
/** Of MNIST's test set: a minute or two on two cores. */
const STEPS_WITHOUT_DATA = 600;
/** DeiT's (arXiv:2012.12877, table 9). */
const WEIGHT_DECAY = 0.05;

/** augmentationSettings — DeiT's where it is asked for (arXiv:2012.12877, table 9), with what was given. */
export function augmentationSettings(flags: AugmentationFlags, channels: number): AugmentationSettings {
  const augment = flags.augment ?? (channels === 3 ? 'basic' : 'none');
  const ofDeit = augment === 'deit';
  return {
    augment, mixup: flags.mixup ?? (ofDeit ? 0.8 : 0), cutmix: flags.cutmix ?? (ofDeit ? 1 : 0), labelSmoothing: flags.labelSmoothing ?? (ofDeit ? 0.1 : 0),
    repeatedAugmentation: flags.repeatedAugmentation ?? (ofDeit ? 3 : 1),
  };
}

/** divisibleBatch — a batch size that nobody asked for, made divisible by how often images are repeated: the next larger one. */
export const divisibleBatch = (batchSize: number, { repeatedAugmentation }: Pick<AugmentationSettings, 'repeatedAugmentation'>): number => Math.ceil(batchSize / repeatedAugmentation) * repeatedAugmentation;

/** checkAugmentation — throws UsageError unless repeated images fill a batch. */
export function checkAugmentation({ batchSize, repeatedAugmentation }: Pick<VitSettings, 'batchSize' | 'repeatedAugmentation'>, given: ReadonlySet<string> = new Set(['repeatedAugmentation'])): void {
  if (batchSize % repeatedAugmentation === 0) return;
  const help = given.has('repeatedAugmentation') ? '' : '; it is 3 with --augment deit, and 1 switches it off';
  throw new UsageError(`--batch-size must be divisible by --repeated-augmentation, got ${batchSize} and ${repeatedAugmentation}${help}`);
}

/** Found — what the data of a new run decide. */
export type FoundImages = { readonly size: number; readonly channels: number; readonly count: number };

/**
 * newVitSettings — the settings of a new run: flags, and the defaults that depend on other flags and on the images.
 *
 * @throws UsageError  if flags do not fit together, or onto the images.
 */
export function newVitSettings(flags: TrainVitFlags, { size, channels, count }: FoundImages): VitSettings {
  if (flags.steps !== undefined && flags.epochs !== undefined) throw new UsageError(`--epochs must be left out with --steps, got ${flags.epochs} and ${flags.steps}`);
  const augmentation = augmentationSettings(flags, channels);
  const batchSize = flags.given.has('batchSize') ? flags.batchSize : divisibleBatch(flags.batchSize, augmentation);
  const steps = flags.steps ?? (flags.epochs !== undefined ? Math.max(1, Math.round((flags.epochs * count) / batchSize)) : flags.data === undefined ? STEPS_WITHOUT_DATA : STEPS);
  const { weightDecayMode, optimizer = 'adamw' } = flags;
  const decays = optimizer === 'adamw' && weightDecayMode !== 'independent' && flags.weightDecay === undefined ? { weightDecay: WEIGHT_DECAY } : {};
  const settings: VitSettings = {
    data: flags.data === undefined ? null : savedPath(flags.data), valData: flags.valData === undefined ? null : savedPath(flags.valData),
    ...modelSettings({ ...flags, batchSize, ...decays }, steps, PLAIN_COMMON),
    imageSize: size, isScaled: flags.imageSize !== undefined, patchSize: flags.patchSize ?? usualPatch(size),
    ...augmentation, dropPath: flags.dropPath ?? (augmentation.augment === 'deit' ? 0.1 : 0), layerScale: flags.layerScale ?? 0, ema: flags.ema ?? 0,
  };
  checkVitSettings(settings, flags.given);
  return settings;
}

/** 4 of small images, as in the papers on CIFAR-10; 7 of MNIST's 28 pixels, where 4 learns more slowly in more time; 16 of others. */
const usualPatch = (size: number): number => (size > 64 ? 16 : size === 28 ? 7 : 4);

/** checkVitSettings — throws UsageError unless settings fit together. */
export function checkVitSettings(settings: VitSettings, given?: ReadonlySet<string>): void {
  checkModelSettings(settings);
  checkAugmentation(settings, given);
  const { imageSize, patchSize } = settings;
  if (imageSize % patchSize !== 0) throw new UsageError(`--patch-size must divide the size of the images, got ${patchSize} and ${imageSize}; --image-size scales them`);
}
