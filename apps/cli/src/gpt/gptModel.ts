import { gpt, type Gpt, type GptSizes } from '@evenkeel/models-gpt';
import { sigmaReparam } from '@evenkeel/sigma-reparam';
import { reparametrised, stackTechniquesOf, type ModelTechniques, type TechniqueSettings } from '../techniques.ts';

const own = ({ normEps = 1e-5 }: GptSizes) => ({ own: 'pre', normEps });

/** modelOf — a GPT of some sizes that computes with some techniques. */
export function modelOf(sizes: GptSizes, techniques: ModelTechniques): Gpt {
  return gpt({ ...sizes, ...stackTechniquesOf(techniques, own(sizes)) });
}

/** trainedModelOf — the same, with what concerns its training alone. */
export function trainedModelOf(sizes: GptSizes, techniques: TechniqueSettings): Gpt {
  const { zLoss, untiedHead, sigmaReparam: gammaInit } = techniques;
  const head = gammaInit !== 'none' && untiedHead && { head: sigmaReparam({ gammaInit, bias: false }) };
  return gpt({ ...sizes, tiedHead: !untiedHead, zLoss, ...stackTechniquesOf(techniques, own(sizes)), ...reparametrised(gammaInit, sizes.bias), ...head });
}
