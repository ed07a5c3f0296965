import { checkFunction } from '@evenkeel/core-tensor';
import { placementRule } from './placements.ts';
import type { StackTechniques } from './transformerStack.ts';

/** Every technique of a stack, with what one looks like if it is a function. */
const TECHNIQUES: Readonly<Record<keyof StackTechniques, string | null>> = {
  norm: 'layerNormLayer()', linear: 'linearLayer()', attention: 'flashAttention', mlp: 'mlpLayer()', placement: null, qkNorm: 'qkNorm()', branch: 'stochasticDepth()',
  rematerialise: null,
};

/**
 * stackTechniques — the techniques of a stack among a model's options: those given, and in place of those left out the model's own.
 *
 * @param own  the model's own, by name; default none.
 */
export function stackTechniques<Own extends StackTechniques>(options: StackTechniques, own: Own = {} as Own): StackTechniques & Own {
  const given = (Object.keys(TECHNIQUES) as (keyof StackTechniques)[]).filter((name) => options[name] !== undefined).map((name) => [name, options[name]]);
  return { ...own, ...Object.fromEntries(given) as StackTechniques };
}

/**
 * checkTechniques — that the techniques given to a model are what they must be.
 *
 * @param fn    the model, for errors.
 * @param more  the techniques of the model itself, each with what one looks like: `{ head: 'linearLayer()' }`.
 * @throws ConfigError  if one is not a function, or `placement` none.
 */
export function checkTechniques(fn: string, techniques: StackTechniques, more: Readonly<Record<string, string>> = {}): void {
  const given = techniques as Readonly<Record<string, unknown>>;
  for (const [name, help] of Object.entries({ ...TECHNIQUES, ...more })) {
    if (help !== null && given[name] !== undefined) checkFunction(fn, name, given[name], help);
  }
  if (techniques.placement !== undefined) placementRule(fn, techniques.placement);
}

/**
 * departuresOf — the names of the techniques that were given and are not a model's own: what a checkpoint in its layout cannot say. `rematerialise`
 * is none: it computes the same.
 *
 * @param given  techniques by name; those absent are the model's own.
 * @param own    what may be given without being a departure: `{ placement: 'pre', attention: flashAttention }`.
 */
export function departuresOf({ rematerialise: _, ...given }: Readonly<Record<string, unknown>>, own: Readonly<Record<string, unknown>>): string[] {
  return Object.entries(given).flatMap(([name, technique]) => (technique === undefined || technique === own[name] ? [] : [name]));
}
