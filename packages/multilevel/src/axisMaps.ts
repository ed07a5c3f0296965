import { ConfigError, type ParamSpec } from '@evenkeel/core-tensor';
import { grouping, joined, type Grouping, type GroupingKind } from './grouping.ts';

/** AxisMap — how one axis of a parameter is grouped; `input` where the parameter sums over it, `output` elsewhere. */
export type AxisMap = { readonly axis: number; readonly side: 'output' | 'input'; readonly of: Grouping };

type Pair = { readonly fn: string; readonly path: string; readonly small: ParamSpec; readonly large: ParamSpec; readonly kind: GroupingKind };

const axesOf = ({ axes }: ParamSpec): string[] => axes.split(' ').filter((name) => name !== '');

/**
 * axisMapsOf — the maps of those axes that differ between a parameter of the large model and its counterpart in the small one.
 *
 * Names decide: `dim`, `hidden`, `qkv` and `heads` may differ; `headDim`, `vocab`, `position` and all others must not.
 *
 * @throws ConfigError  naming the parameter, what it must be and what it is.
 */
export function axisMapsOf(pair: Pair): AxisMap[] {
  const { small, large } = pair;
  mustAgree(pair, 'axes', `'${small.axes}'`, `'${large.axes}'`);
  mustAgree(pair, 'role', small.role, large.role);
  mustAgree(pair, 'headDim', `${small.headDim ?? 'unknown'}`, `${large.headDim ?? 'unknown'}`);
  mustAgree(pair, 'rank', `${small.shape.length}`, `${large.shape.length}`);
  const names = axesOf(large);
  if (names.length !== large.shape.length) fail(pair, `have a name for each of its ${large.shape.length} axes`, `'${large.axes}'`);
  const isInput = names.map((_, axis) => axis > 0 && (large.role === 'hidden' || large.role === 'head'));
  checkFanIn(pair, isInput);
  return names.flatMap((name, axis) => {
    const of = groupingOf(pair, name, axis);
    return of === undefined ? [] : [{ axis, side: isInput[axis] === true ? 'input' : 'output', of } satisfies AxisMap];
  });
}

/** The grouping of one axis; undefined if it stays as it is. */
function groupingOf(pair: Pair, name: string, axis: number): Grouping | undefined {
  const { small, large, kind } = pair;
  const [few, many] = [small.shape[axis] as number, large.shape[axis] as number];
  if (many === few) return undefined;
  if (few > many) fail(pair, `be at most as large along ${name} in the small model as the ${many} in the large one`, `${few}`);
  if (name === 'hidden') return grouping(many, few, kind);
  if (name === 'dim') return even(pair, name, many, few);
  if (name === 'heads') return even(pair, name, many, few, unitOf(pair));
  if (name === 'qkv') return qkvGrouping(pair, many, few);
  return fail(pair, `have the same size along ${name} in both models; only dim, hidden, qkv and heads may differ`, `${few} and ${many}`);
}

/** Groups of one size, without which a norm over the channels would give something else, and heads could not be told apart. */
function even(pair: Pair, name: string, many: number, few: number, unit = 1): Grouping {
  if (many % few !== 0) fail(pair, `have ${name} in the large model that is a multiple of the small one's`, `${many} and ${few}`);
  if (few % unit !== 0) fail(pair, `have ${name} that is a multiple of the head size ${unit} in the small model`, `${few}`);
  return grouping(many, few, pair.kind, unit);
}

/** Channels that stay together: those of a head. Stacked groups keep heads whole also where their size is not known. */
function unitOf(pair: Pair): number {
  const { headDim } = pair.large;
  if (headDim === undefined && pair.kind === 'adjacent') fail(pair, "have headDim in its spec for widthGrouping 'adjacent'", 'none');
  return headDim ?? 1;
}

/** Queries, keys and values each by themselves, so that every query head keeps the key head that it had. */
function qkvGrouping(pair: Pair, many: number, few: number): Grouping {
  const [large, small] = [pair.large.parts ?? [many], pair.small.parts ?? [few]];
  mustAgree(pair, 'number of parts', `${small.length}`, `${large.length}`);
  checkSum(pair, large, many);
  checkSum(pair, small, few);
  const unit = unitOf(pair);
  const pieces = large.map((size, i) => even(pair, `parts[${i}]`, size, small[i] as number, unit));
  checkHeadGroups(pair, large, small);
  return joined(pieces);
}

function checkSum(pair: Pair, parts: readonly number[], size: number): void {
  if (parts.reduce((sum, part) => sum + part, 0) !== size) fail(pair, `have parts that add up to ${size}`, parts.join(' + '));
}

/** Stacked heads keep their key heads only if each serves as many queries in both models, or the small one has but one. */
function checkHeadGroups(pair: Pair, large: readonly number[], small: readonly number[]): void {
  if (pair.kind === 'adjacent') return;
  const [ofLarge, ofSmall] = [large, small].map(([q = 0, k = q]) => q / k) as [number, number];
  if (ofLarge === ofSmall || small[1] === pair.small.headDim) return;
  fail(pair, "have as many query heads per key head in both models, or widthGrouping 'adjacent'", `${ofSmall} in the small model and ${ofLarge} in the large one`);
}

/** What is summed over must be what the spec says it is: a layout that is not `out in` would be mapped wrongly. */
function checkFanIn(pair: Pair, isInput: readonly boolean[]): void {
  const { fanIn, shape } = pair.large;
  const product = shape.reduce((size, each, axis) => (isInput[axis] === true ? size * each : size), 1);
  if (fanIn !== undefined && isInput.includes(true) && product !== fanIn) fail(pair, `sum over all axes but the first, ${product} inputs`, `fanIn ${fanIn}`);
}

function mustAgree(pair: Pair, what: string, small: string, large: string): void {
  if (small !== large) fail(pair, `have the same ${what} in both models`, `${small} in the small one and ${large} in the large one`);
}

function fail({ fn, path }: Pair, expectation: string, actual: string): never {
  throw new ConfigError(`${fn}: ${path} must ${expectation}, got ${actual}`);
}
