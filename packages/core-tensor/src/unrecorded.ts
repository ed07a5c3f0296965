import { tidy, type TensorContainer } from '@tensorflow/tfjs-core';
import { engineInternals } from './engineInternals.ts';

/**
 * unrecorded — runs `f` beside the gradient that is being recorded: what it makes is a constant to it, and nothing is kept for it.
 *
 * @returns  what `f` returns; its other tensors are freed.
 */
export function unrecorded<T extends TensorContainer>(f: () => T): T {
  const { state } = engineInternals();
  const { gradientDepth, activeTape } = state;
  Object.assign(state, { gradientDepth: 0, activeTape: null });
  try {
    return tidy('unrecorded', f);
  } finally {
    Object.assign(state, { gradientDepth, activeTape });
  }
}
