// eslint-disable-next-line no-restricted-imports -- what a model tells of itself must outlive the scopes in which it is told
import { clone, dispose, keep, type Tensor } from '@tensorflow/tfjs-core';
import { ConfigError, type Observe } from '@evenkeel/core-tensor';

/** Names under which models tell of the residual stream: before the first block, and after block N. */
const STREAM = /^(?:embedding|blocks\.(\d+)\.out)$/;

/**
 * collectHidden — the residual stream of one pass through a model: before the first block, then after each.
 *
 *     const hidden = collectHidden((observe) => model.apply(tokens, params, { observe }));
 *
 * @param run  calls the model, which must tell of `embedding` and `blocks.N.out`; tensors that it returns are freed.
 * @returns    `b t c` each, depth + 1 of them; the caller's.
 * @throws ConfigError  if the model did not tell of every one of them.
 */
export function collectHidden(run: (observe: Observe) => Tensor | void): Tensor[] {
  const found: Tensor[] = [];
  try {
    const result = run((name, value) => {
      const match = STREAM.exec(name);
      if (match === null) return;
      const layer = match[1] === undefined ? 0 : Number(match[1]) + 1;
      found[layer] ??= keep(clone(value));
    });
    if (result !== undefined) dispose(result);
    const missing = Array.from(found).indexOf(undefined as never);
    if (found.length === 0 || missing !== -1) {
      throw new ConfigError(`collectHidden: run must make a model that tells of ${missing <= 0 ? 'embedding' : `blocks.${missing - 1}.out`}, got ${found.filter(Boolean).length} others`);
    }
    return found;
  } catch (error) {
    dispose(found.filter(Boolean));
    throw error;
  }
}
