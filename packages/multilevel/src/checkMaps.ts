import type { ParamSpec, Tree } from '@evenkeel/core-tensor';
import { mapSettings, type MapOptions } from './options.ts';
import { planMaps } from './planMaps.ts';

/**
 * checkMaps — throws unless `coalesce` and `decoalesce` can map between two models: to be asked before anything is trained.
 *
 * @throws ConfigError  naming the first parameter whose specs do not fit, or if a tied head has no factor of the logits.
 */
export function checkMaps(specs: Tree<ParamSpec>, smallSpecs: Tree<ParamSpec>, options: MapOptions = {}): void {
  planMaps('checkMaps', { small: smallSpecs, large: specs }, mapSettings('checkMaps', options));
}
