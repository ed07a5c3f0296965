import type { ApplyOptions } from './techniques.ts';
import type { Tree } from './tree.ts';

/**
 * partOptions — the options for a part of a layer: its share of the state, and the part's name before whatever is observed in it. The
 * seed stays as it is: a layer folds it for each part that draws.
 *
 * @param keys  where the part stands in the layer, as in its parameters: `('attn', 'qkv')`, `('blocks', 3)`.
 */
export function partOptions<O extends ApplyOptions>(options: O, ...keys: readonly (string | number)[]): O {
  const { state, observe } = options;
  if (state === undefined && observe === undefined) return options;
  const inner = keys.reduce<unknown>((node, key) => (node as Record<string, unknown> | undefined)?.[key], state) as O['state'];
  const scope = keys.join('.');
  return { ...options, state: inner as Tree<never>, observe: observe && ((name, value) => observe(`${scope}.${name}`, value)) };
}
