import {
  augmentations, cutMix, mixup, normaliseImages, oneOf, randAugment, randomCrop, randomErasing, randomFlip, smoothTargets, type Augmentation, type NormaliseOptions,
} from '@evenkeel/data';
import type { AugmentationSettings } from './vitSettings.ts';

/** augmentationOf — what happens to the images of a training batch, in DeiT's order (arXiv:2012.12877, §6); normalised in the end. */
export function augmentationOf({ augment, mixup: mixAlpha, cutmix: cutAlpha, labelSmoothing }: AugmentationSettings, statistics: NormaliseOptions, { size, channels }: { size: number; channels: number }): Augmentation {
  const moves = augment === 'none' ? [] : [randomCrop({ padding: Math.max(1, Math.round(size / 8)) })];
  const flips = augment === 'basic' || augment === 'deit' ? [randomFlip()] : [];
  const isDeit = augment === 'deit';
  const mixes = [...(mixAlpha > 0 ? [mixup({ alpha: mixAlpha })] : []), ...(cutAlpha > 0 ? [cutMix({ alpha: cutAlpha })] : [])];
  return augmentations(
    ...moves, ...(channels === 3 ? flips : []), ...(isDeit ? [randAugment()] : []), normaliseImages(statistics), ...(isDeit ? [randomErasing()] : []),
    ...(labelSmoothing > 0 ? [smoothTargets({ epsilon: labelSmoothing })] : []), ...(mixes.length > 0 ? [oneOf(mixes)] : []),
  );
}
