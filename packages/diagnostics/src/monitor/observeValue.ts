import { max, type Tensor } from '@tensorflow/tfjs-core';
import { headEntropy, type VisibleKeys } from '../attentionEntropy.ts';
import { logPartition } from '../logPartition.ts';
import { rootMeanSquares } from '../rootMeanSquares.ts';
import type { Watch } from './watch.ts';

/** observeValue — what is read of a value that a model tells of, by name; undefined for what is not watched. */
export function observeValue(name: string, value: Tensor, watch: Required<Watch>, visibleKeys: VisibleKeys): Record<string, Tensor> | undefined {
  if (name === 'logits') return watch.outputLogits ? { 'logits.logPartition': logPartition(value) } : undefined;
  if (name.endsWith('.entropy')) return watch.entropy && hasChoice(value, visibleKeys) ? { [name]: headEntropy(value, visibleKeys) } : undefined;
  if (name.endsWith('.rowMax')) return watch.logits ? { [name.replace(/rowMax$/, 'maxLogit')]: max(value, [0, 2]) } : undefined; // h
  const isBranch = /\.(attn|mlp)\.out$/.test(name);
  const isStream = !isBranch && (name === 'embedding' || name.endsWith('.out'));
  return (isBranch && watch.branches) || (isStream && watch.activations) ? { [`${name}.rms`]: rootMeanSquares([value]) } : undefined;
}

/** Sequences of one token have no entropy to speak of. */
const hasChoice = ({ shape }: Tensor, visibleKeys: VisibleKeys): boolean => typeof visibleKeys === 'function' || (shape[2] as number) >= 2;
