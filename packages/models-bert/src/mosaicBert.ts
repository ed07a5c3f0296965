import { gatedMlpLayer, linearLayer, type StackTechniques } from '@evenkeel/layers';
import { bert, type Bert } from './bert.ts';
import type { BertSizes } from './bertConfig.ts';

/**
 * mosaicBert — `bert` as MosaicBERT has it: attention lowered by distance instead of positions, a GEGLU perceptron whose first maps have no
 * bias, and a vocabulary in a multiple of 64. Give it batches without padding (`unpadBatch`) and masked tokens alone (`rows`).
 *
 * A gated perceptron has dim·hiddenDim parameters more per block than BERT's: `hiddenDim: 8/3 · dim` has as many.
 *
 * Source: Portes et al. 2023, arXiv:2312.17482, §3. Departs from the paper: dropout acts on what the perceptron gives, not before its last map.
 */
export function mosaicBert(options: BertSizes & StackTechniques): Bert {
  const { dim, hiddenDim = 4 * dim } = options;
  return bert({
    positions: 'alibi', vocabMultiple: 64, mlp: gatedMlpLayer({ hiddenDim, activation: 'gelu', inner: linearLayer({ bias: false }) }), ...options,
  });
}
