import { ConfigError, ShapeError, describeShape } from '@evenkeel/core-tensor';
import { quoteName } from './text.ts';

type Shaped = { readonly shape: readonly number[] };

/** MatchOptions — `strict` (default true): missing and unexpected names are errors; `where`: how an error begins. */
export type MatchOptions = { strict?: boolean; where?: string };

/** MatchReport — the names found in both, those only expected, and those only present. */
export type MatchReport = { matched: string[]; missing: string[]; unexpected: string[] };

const LISTED = 8;

/**
 * matchStateDict — compares the parameters a model expects with the tensors of a checkpoint, by name and shape.
 *
 * @param expected  name and shape of every parameter.
 * @param actual    tensors by name; anything with a shape.
 * @param options   `strict: false` only reports missing and unexpected names, as PyTorch does; shapes must agree all the same.
 * @returns         what matched and what did not, in the order given.
 * @throws ConfigError  one line that lists every kind of disagreement with its names (at most 8 each, and how many more);
 *                      ShapeError if only shapes disagree.
 */
export function matchStateDict(
  expected: readonly ({ readonly name: string } & Shaped)[],
  actual: Readonly<Record<string, Shaped>>,
  { strict = true, where = 'matchStateDict' }: MatchOptions = {},
): MatchReport {
  const expectedNames = new Set(expected.map(({ name }) => name));
  const found = expected.filter(({ name }) => Object.hasOwn(actual, name));
  const missing = expected.filter(({ name }) => !Object.hasOwn(actual, name)).map(({ name }) => name);
  const unexpected = Object.keys(actual).filter((name) => !expectedNames.has(name));
  const mismatched = found
    .map(({ name, shape }) => ({ name, shape, got: (actual[name] as Shaped).shape }))
    .filter(({ shape, got }) => shape.length !== got.length || shape.some((size, axis) => size !== got[axis]))
    .map(({ name, shape, got }) => `${quoteName(name)} must have shape ${describeShape(shape)}, got ${describeShape(got)}`);
  const namesDisagree = strict && missing.length + unexpected.length > 0;
  if (namesDisagree || mismatched.length > 0) {
    const problems = [
      ...(namesDisagree ? [list('missing', missing.map(quoteName)), list('unexpected', unexpected.map(quoteName))] : []),
      list('shapes', mismatched),
    ].filter((problem) => problem !== '');
    const message = `${where}: the checkpoint must hold the model's ${expected.length} tensors, got ${problems.join('; ')}`;
    throw namesDisagree ? new ConfigError(message) : new ShapeError(message);
  }
  return { matched: found.map(({ name }) => name), missing, unexpected };
}

/** `missing (12): "a", "b", … and 4 more`; nothing for an empty list. */
function list(kind: string, items: readonly string[]): string {
  if (items.length === 0) return '';
  const more = items.length > LISTED ? `, … and ${items.length - LISTED} more` : '';
  return `${kind} (${items.length}): ${items.slice(0, LISTED).join(', ')}${more}`;
}
