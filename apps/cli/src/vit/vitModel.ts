import { layerScale, stochasticDepth } from '@evenkeel/layers';
import { vit, type Vit, type VitSizes, type VitTechniques } from '@evenkeel/models-vit';
import { reparametrised, stackTechniquesOf, type ModelTechniques } from '../techniques.ts';
import type { VitSettings } from './vitSettings.ts';

/** VitModelTechniques — what a model computes with besides its sizes: a saved model says it of itself. */
export type VitModelTechniques = ModelTechniques & { readonly layerScale: number };

/** vitOf — a vision transformer of some sizes that computes with some techniques. */
export const vitOf = (sizes: VitSizes, techniques: VitModelTechniques, more: Pick<VitTechniques, 'linear'> = {}): Vit => madeOf(sizes, techniques, more);

/** trainedVitOf — the same, with what concerns its training alone. */
export const trainedVitOf = (sizes: VitSizes, settings: VitModelTechniques & Pick<VitSettings, 'sigmaReparam' | 'dropPath'>): Vit =>
  madeOf(sizes, settings, { dropPath: settings.dropPath, ...reparametrised(settings.sigmaReparam) });

function madeOf(sizes: VitSizes, techniques: VitModelTechniques, { dropPath = 0, ...more }: { dropPath?: number } & Pick<VitTechniques, 'linear'>): Vit {
  const { normEps = 1e-6 } = sizes;
  const scale = techniques.layerScale > 0 ? layerScale({ init: techniques.layerScale }) : undefined;
  const branch = dropPath > 0 ? stochasticDepth({ rate: dropPath, ...(scale && { branch: scale }) }) : scale;
  return vit({ ...sizes, ...stackTechniquesOf(techniques, { own: 'pre', normEps }), ...more, ...(branch && { branch }) });
}
