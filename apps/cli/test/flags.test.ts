import { describe, expect, it } from 'vitest';
import { nonEmpty, oneOf, realNumber, wholeNumber, wholeNumbers } from '../src/flags.ts';

describe('wholeNumber', () => {
  it('wholeNumber(--steps) reads an integer', () => {
    expect(wholeNumber('--steps')('2000')).toBe(2000);
    expect(wholeNumber('--steps')('1e3')).toBe(1000);
  });

  it.each(['', ' ', 'abc', '1.5', '0', '-3', 'NaN', 'Infinity', '9007199254740993', '12x'])('wholeNumber(--steps) refuses %j and names flag and text', (text) => {
    expect(() => wholeNumber('--steps')(text)).toThrow(/^--steps must be a whole number ≥ 1, got /);
  });

  it('wholeNumber(--seed) accepts both of its bounds and nothing beyond', () => {
    const seed = wholeNumber('--seed', { min: 0, max: 7 });
    expect([seed('0'), seed('7')]).toEqual([0, 7]);
    expect(() => seed('8')).toThrow('--seed must be a whole number ≥ 0 and ≤ 7, got 8');
  });
});

describe('realNumber', () => {
  it('realNumber(--dropout) leaves out the bound named by below', () => {
    const dropout = realNumber('--dropout', { min: 0, below: 1 });
    expect([dropout('0'), dropout('0.999')]).toEqual([0, 0.999]);
    expect(() => dropout('1')).toThrow('--dropout must be a number ≥ 0 and < 1, got 1');
  });

  it('realNumber(--learning-rate) refuses 0, NaN and Infinity', () => {
    const rate = realNumber('--learning-rate', { above: 0 });
    expect(rate('1e-3')).toBe(0.001);
    for (const text of ['0', '-1', 'NaN', 'Infinity', '']) expect(() => rate(text)).toThrow('--learning-rate must be a number > 0, got ');
  });
});

describe('oneOf, nonEmpty, wholeNumbers', () => {
  it('oneOf(--device) names the words it knows', () => {
    expect(oneOf('--device', ['auto', 'wasm'])('wasm')).toBe('wasm');
    expect(() => oneOf('--device', ['auto', 'wasm'])('gpu')).toThrow('--device must be one of auto, wasm, got gpu');
  });

  it('nonEmpty(--data) refuses an empty text', () => {
    expect(nonEmpty('--data', 'a path')('a')).toBe('a');
    expect(() => nonEmpty('--data', 'a path')('')).toThrow('--data must be a path, got an empty text');
  });

  it('wholeNumbers(--sizes) reads a list and refuses a hole in it', () => {
    expect(wholeNumbers('--sizes')('256, 512')).toEqual([256, 512]);
    expect(() => wholeNumbers('--sizes')('256,,512')).toThrow('--sizes must be whole numbers with commas between ≥ 1, got an empty text');
  });
});
