import { describe, expect, it } from 'vitest';
import { formatBytes, formatCount, formatDuration, formatShort, printable, wrap } from '../src/format.ts';

describe('format', () => {
  it('formatCount(n) groups by thousands', () => {
    expect([0, 999, 1000, 809856].map(formatCount)).toEqual(['0', '999', '1,000', '809,856']);
  });

  it('formatShort(n) takes at most five characters', () => {
    expect([0.4, 812, 9400, 41234, 999400, 1234567].map(formatShort)).toEqual(['0', '812', '9.4k', '41k', '999k', '1.2M']);
  });

  it('formatDuration(s) shows the two largest units', () => {
    expect([0.2, 42, 185, 4800, NaN, Infinity].map(formatDuration)).toEqual(['0s', '42s', '3m05s', '1h20m', '--', '--']);
  });

  it('formatBytes(n) uses binary units', () => {
    expect([0, 512, 1536, 2 ** 20 * 3.4, 24 * 2 ** 30].map(formatBytes)).toEqual(['0 B', '512 B', '1.5 KiB', '3.4 MiB', '24 GiB']);
  });

  it('wrap(label, text) breaks between words, indents what follows and leaves long words whole', () => {
    expect(wrap('a: ', 'bbb ccc ddd', 10)).toEqual(['a: bbb ccc', '   ddd']);
    expect(wrap('', 'a 123456789 b', 5)).toEqual(['a', '123456789', 'b']);
    expect(wrap('label ', 'short')).toEqual(['label short']);
    expect(wrap('', '')).toEqual(['']);
  });

  it('printable(text) keeps line breaks and tabs, and makes escape sequences harmless', () => {
    expect(printable('a\n\tb\r\n\u001B[2Jc\u0007é')).toBe('a\n\tb\n\uFFFD[2Jc\uFFFDé');
  });
});
