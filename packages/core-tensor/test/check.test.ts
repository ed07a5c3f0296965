import { zeros } from '@tensorflow/tfjs-core';
import {
  checkBoolean, checkDivisible, checkDtype, checkInteger, checkLastDim, checkMinRank, checkNames, checkOneOf, checkPositive, checkProbability, checkRange, checkRank,
  checkShape, ConfigError, describeShape, describeValue, ShapeError, UnsupportedError,
} from '@evenkeel/core-tensor';
import { describe, expect, it } from 'vitest';

const x = zeros([2, 3]);

/** Each check: calls that pass, a call that fails, and what it says. */
const CHECKS: readonly (readonly [name: string, error: typeof ShapeError | typeof ConfigError, passing: readonly (() => void)[], failing: readonly (readonly [() => void, string])[]])[] = [
  ['checkRank', ShapeError, [() => checkRank('f', 'x', x, 2)], [[() => checkRank('f', 'x', x, 3), 'f: x must have rank 3, got shape [2, 3]']]],
  ['checkMinRank', ShapeError, [() => checkMinRank('f', 'x', x, 1), () => checkMinRank('f', 'x', x, 2)],
    [[() => checkMinRank('f', 'x', x, 3), 'f: x must have rank ≥ 3, got shape [2, 3]']]],
  ['checkShape', ShapeError, [() => checkShape('f', 'x', x, [2, 3]), () => checkShape('f', 'x', x, [null, 3])],
    [[() => checkShape('f', 'x', x, [null, 4]), 'f: x must have shape […, 4], got [2, 3]'], [() => checkShape('f', 'x', x, [2]), 'f: x must have shape [2], got [2, 3]']]],
  ['checkLastDim', ShapeError, [() => checkLastDim('f', 'x', x, 3)],
    [[() => checkLastDim('f', 'x', x, 4), 'f: x must have shape [..., 4], got [2, 3]'], [() => checkLastDim('f', 'x', zeros([]), 1), 'f: x must have shape [..., 1], got []']]],
  ['checkDtype', ShapeError, [() => checkDtype('f', 'x', x, 'float32')], [[() => checkDtype('f', 'x', x, 'int32'), 'f: x must have dtype int32, got float32']]],
  ['checkPositive', ConfigError, [() => checkPositive('f', 'eps', 1e-30)],
    [0, -1, NaN, Infinity].map((value) => [() => checkPositive('f', 'eps', value), `f: eps must be a positive number, got ${value}`])],
  ['checkRange', ConfigError, [() => checkRange('f', 'p', 0, 0, 1), () => checkRange('f', 'p', 1, 0, 1)],
    [-0.1, 1.1, NaN].map((value) => [() => checkRange('f', 'p', value, 0, 1), `f: p must be between 0 and 1, got ${value}`])],
  ['checkProbability', ConfigError, [() => checkProbability('f', 'rate', 0), () => checkProbability('f', 'rate', 0.99)],
    [-0.1, 1, NaN].map((value) => [() => checkProbability('f', 'rate', value), `f: rate must be in [0, 1), got ${value}`])],
  ['checkInteger', ConfigError, [() => checkInteger('f', 'n', 1), () => checkInteger('f', 'n', 0, 0)],
    [[() => checkInteger('f', 'n', 0), 'f: n must be an integer ≥ 1, got 0'], [() => checkInteger('f', 'n', 1.5), 'f: n must be an integer ≥ 1, got 1.5'],
      [() => checkInteger('f', 'n', -2, -1), 'f: n must be an integer ≥ -1, got -2'], [() => checkInteger('f', 'n', NaN), 'got NaN']]],
  ['checkDivisible', ConfigError, [() => checkDivisible('f', 'dim', 12, 'numHeads', 4)],
    [[() => checkDivisible('f', 'dim', 12, 'numHeads', 5), 'f: dim must be divisible by numHeads, got 12 and 5']]],
  ['checkNames', ConfigError, [() => checkNames('f', {}, ['a']), () => checkNames('f', { b: 1 }, ['a', 'b'])],
    [[() => checkNames('f', { a: 1, c: 1, d: null, e: undefined }, ['a', 'b']), 'f: options must be among a, b, got c, d'],
      [() => checkNames('f', { A: 1 }, ['a'], 'parts'), 'f: parts must be among a, got A'],
      ...[[null, 'null'], ['x', '"x"'], [[1], 'an array'], [7, '7'], [() => {}, 'a function']].map(([value, text]) => (
        [() => checkNames('f', value as object, ['a', 'b']), `f: options must be an object of a, b, got ${text as string}`] as [() => void, string]))]],
  ['checkBoolean', ConfigError, [() => checkBoolean('f', 'causal', true), () => checkBoolean('f', 'causal', false)],
    ([['false', '"false"'], [1, '1'], [null, 'null'], [undefined, 'undefined']] as const).map(([value, got]) => [() => checkBoolean('f', 'causal', value), `f: causal must be true or false, got ${got}`])],
  ['checkOneOf', ConfigError, [() => checkOneOf('f', 'mode', 'a', ['a', 'b'])], [[() => checkOneOf('f', 'mode', 'c', ['a', 'b']), 'f: mode must be one of a, b, got c']]],
];

describe.each([...CHECKS])('%s', (name, errorClass, passing, failing) => {
  it(`${name}(…) accepts what fits`, () => {
    for (const call of passing) expect(call).not.toThrow();
  });

  it(`${name}(…) names function, argument, expected and actual`, () => {
    for (const [call, message] of failing) {
      expect(call).toThrow(errorClass);
      expect(call).toThrow(message);
    }
  });
});

describe('errors', () => {
  it('describeShape(shape) writes sizes in brackets', () => {
    expect(describeShape([2, null, 'c'])).toBe('[2, …, c]');
    expect(describeShape([])).toBe('[]');
  });

  it('describeValue(value) says what kind of thing it is', () => {
    const values = [undefined, null, 'a', 0.5, [1], {}, () => {}, Symbol('s')];
    expect(values.map(describeValue)).toEqual(['undefined', 'null', '"a"', '0.5', 'an array', 'an object', 'a function', 'Symbol(s)']);
  });

  it.each([ShapeError, ConfigError, UnsupportedError])('%o is an Error that says its own name', (ErrorClass) => {
    const error = new ErrorClass('text');
    expect(error).toBeInstanceOf(Error);
    expect(String(error)).toBe(`${ErrorClass.name}: text`);
  });
});
