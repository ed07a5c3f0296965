import { foldSeed, partOptions, type ApplyOptions } from '@evenkeel/core-tensor';

/** ofPart — the options for a part of a block: its share of the state, its name before what it observes, and a seed of its own. */
export const ofPart = (options: ApplyOptions, name: string, block: number): ApplyOptions => withSeed(partOptions(options, name), name, block);

/** withSeed — the options with a seed for what draws under that name. */
export function withSeed({ train = false, seed, ...rest }: ApplyOptions, name: string, block: number): ApplyOptions {
  return { ...rest, train, ...(seed !== undefined && { seed: foldSeed(seed, name, block) }) };
}
