import { checkFunction } from '@evenkeel/core-tensor';
import { placementRule } from './placements.ts';
import type { StackTechniques } from './transformerStack.ts';

/** What each technique of a stack that is a function looks like. */
const FACTORIES = {
  norm: 'layerNormLayer()', linear: 'linearLayer()', attention: 'flashAttention', mlp: 'mlpLayer()', qkNorm: 'qkNorm()', branch: 'stochasticDepth()',
} as const satisfies { [name in keyof StackTechniques]: string };

/**
 * checkTechniques — that the techniques given to a model are what they must be.
 *
 * @param fn    the model, for errors.
 * @param more  the techniques of the model itself, each with what one looks like: `{ head: 'linearLayer()' }`.
 * @throws ConfigError  if one is not a function, or `placement` none.
 */
export function checkTechniques(fn: string, techniques: StackTechniques, more: Readonly<Record<string, string>> = {}): void {
  const given = techniques as Readonly<Record<string, unknown>>;
  for (const [name, help] of Object.entries({ ...FACTORIES, ...more })) {
    if (given[name] !== undefined) checkFunction(fn, name, given[name], help);
  }
  if (techniques.placement !== undefined) placementRule(fn, techniques.placement);
}

/**
 * departuresOf — the names of the techniques that were given and are not a model's own: what a checkpoint in its layout cannot say.
 *
 * @param given  techniques by name; those absent are the model's own.
 * @param own    what may be given without being a departure: `{ placement: 'pre', attention: flashAttention }`.
 */
export function departuresOf(given: Readonly<Record<string, unknown>>, own: Readonly<Record<string, unknown>>): string[] {
  return Object.entries(given).flatMap(([name, technique]) => (technique === undefined || technique === own[name] ? [] : [name]));
}
