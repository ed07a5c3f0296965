import { expect } from 'vitest';

/** Every number of a curve's path, two by two. */
export const pathsOf = (html: string): number[][] => [...html.matchAll(/<path class="curve[^"]*" d="([^"]*)"/g)].map(([, d]) => (d as string).match(/-?[\d.]+|NaN/g)!.map(Number));

/** A parser that knows only what our pages use: every element that opens also closes. */
export function checkNesting(html: string): void {
  const open: string[] = [];
  for (const [, closing, name, selfClosing] of html.matchAll(/<(\/?)([a-z][a-z0-9]*)\b[^>]*?(\/?)>/g)) {
    if (closing === '/') expect(open.pop()).toBe(name);
    else if (selfClosing !== '/' && name !== 'meta') open.push(name as string);
  }
  expect(open).toEqual([]);
}
