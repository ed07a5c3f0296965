import { checkOneOf, checkPositive } from '@evenkeel/core-tensor';
import type { GroupingKind } from './grouping.ts';

/** MapOptions — how the units of two models belong together; the same for all maps between them. */
export type MapOptions = {
  /** Channels, heads and MLP units: i with i + n (`stacked`, the default), or neighbours. Heads stay whole either way. */
  readonly widthGrouping?: GroupingKind;
  /** Blocks: 2i with 2i + 1 (`adjacent`, the default), or i with i + n. */
  readonly depthGrouping?: GroupingKind;
  /**
   * The constant factors of both models' logits, each 1 by default. Where the token embedding is the head too, the small model's must be
   * (large width / small width) times the large one's, since the logits sum over copies of the embedding's columns.
   */
  readonly logitScale?: { readonly large?: number; readonly small?: number };
};

export type MapSettings = { readonly width: GroupingKind; readonly depth: GroupingKind; readonly logitScale: { readonly large: number; readonly small: number } };

/** mapSettings — the options, checked, with their defaults. */
export function mapSettings(fn: string, { widthGrouping = 'stacked', depthGrouping = 'adjacent', logitScale = {} }: MapOptions): MapSettings {
  checkOneOf(fn, 'widthGrouping', widthGrouping, ['stacked', 'adjacent']);
  checkOneOf(fn, 'depthGrouping', depthGrouping, ['stacked', 'adjacent']);
  const { large = 1, small = 1 } = logitScale;
  checkPositive(fn, 'logitScale.large', large);
  checkPositive(fn, 'logitScale.small', small);
  return { width: widthGrouping, depth: depthGrouping, logitScale: { large, small } };
}
