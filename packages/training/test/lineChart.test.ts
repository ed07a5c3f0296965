import { lineChart, type LineChart, type Series } from '@evenkeel/training';
import { describe, expect, it } from 'vitest';
import { checkNesting, pathsOf } from './pages.ts';

const chart = (series: readonly Series[], given: Partial<LineChart> = {}): string =>
  lineChart({ title: 'Loss', x: { label: 'step' }, y: { label: 'loss' }, series, ...given });
const one = (points: Series['points'], given: Partial<LineChart> = {}): string => chart([{ name: 'a', points }], given);

/** Where ticks stand and what they say, along x or y. */
const ticksOf = (html: string, axis: 'x' | 'y'): [at: number, text: string][] => {
  const pattern = axis === 'x' ? /<text x="([\d.]+)" y="[\d.]+" text-anchor="middle">([^<]*)</g : /<text x="66" y="([\d.]+)" dy="0.32em" text-anchor="end">([^<]*)</g;
  return [...html.matchAll(pattern)].map(([, at, text]) => [Number(at), text!]);
};

describe('lineChart(chart)', () => {
  it('puts values where its ticks say, on linear axes', () => {
    const html = one([[0, 0], [40, 4], [100, 10]]);
    const at = (axis: 'x' | 'y', text: string): number => ticksOf(html, axis).find((tick) => tick[1] === text)![0];
    const [path] = pathsOf(html);
    expect(path![2]).toBeCloseTo(at('x', '40'), 1);
    expect(path![3]).toBeCloseTo(at('y', '4'), 1);
  });

  it('puts equal factors at equal distances on logarithmic axes', () => {
    const [path] = pathsOf(one([[1e-3, 1], [1e-2, 100], [1e-1, 10_000]], { x: { label: 'rate', scale: 'log' }, y: { label: 'logit', scale: 'log' } }));
    const [x0, y0, x1, y1, x2, y2] = path as [number, number, number, number, number, number];
    expect(x1 - x0).toBeCloseTo(x2 - x1, 1);
    expect(y1 - y0).toBeCloseTo(y2 - y1, 1);
    expect(y2).toBeLessThan(y0);
  });

  it('takes few values of a logarithmic x axis as its ticks, else round ones', () => {
    const rates = [3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 0.1, 0.3];
    const x = { label: 'learning rate', scale: 'log' } as const;
    expect(ticksOf(one(rates.map((rate) => [rate, 1]), { x }), 'x').map(([, text]) => text)).toEqual(['0.0003', '0.001', '0.003', '0.01', '0.03', '0.1', '0.3']);
    const many = ticksOf(one(Array.from({ length: 100 }, (_, i) => [1000 * 1.1 ** i, 1]), { x }), 'x');
    expect(many.length).toBeGreaterThan(2);
    expect(many.length).toBeLessThanOrEqual(10);
    expect(many.every(([, text]) => /^[1235]0*(,0+)*$/.test(text))).toBe(true);
  });

  it('is logarithmic by itself only where asked to be and where values span more than a factor of 30', () => {
    const isLog = (values: number[], scale: 'auto' | 'linear' | 'log') => {
      const [path] = pathsOf(one(values.map((value, i) => [i, value]), { y: { label: 'y', scale } }));
      const [, y0, , y1, , y2] = path as number[];
      return Math.abs((y1! - y0!) - (y2! - y1!)) < 0.2; // 1, 6, 36: equal factors
    };
    expect([isLog([1, 6, 36], 'auto'), isLog([1, 5, 25], 'auto'), isLog([1, 6, 36], 'linear'), isLog([1, 5, 25], 'log')]).toEqual([true, false, false, true]);
    expect(one([[0, -1], [1, 100]], { y: { label: 'y', scale: 'auto' } })).not.toMatch(/NaN/);
  });

  it('writes labels with their units, and is named for readers who cannot see it', () => {
    const html = one([[0, 1], [1, 2]], { x: { label: 'tokens', unit: 'millions' }, y: { label: 'entropy', unit: 'nats' } });
    expect(one([[1, 1], [10, 1000]], { x: { label: 'width', scale: 'log' }, y: { label: 'loss', unit: 'nats', scale: 'auto' } })).toMatch(/>loss \(nats, log scale\)<[^]*>width \(log scale\)</);
    for (const text of ['>tokens (millions)<', '>entropy (nats)<', 'role="img" aria-label="Loss by tokens"', '<figcaption>Loss</figcaption>']) expect(html).toContain(text);
    expect(one([[0, 1]], { showTitle: false })).not.toContain('figcaption');
  });

  it('leaves a gap at NaN, and on a logarithmic axis at what is not above 0', () => {
    const points = [[0, 1], [1, 2], [2, NaN], [3, 4], [4, 5]] as const;
    const moves = (html: string): number => html.match(/class="curve line" d="([^"]*)"/)![1]!.match(/M/g)!.length;
    expect([moves(one(points)), moves(one([[0, 1], [1, 2], [3, 4]]))]).toEqual([2, 1]);
    expect(moves(one([[0, 1], [1, 2], [2, 0], [3, -4], [4, 5], [5, 6]], { y: { label: 'y', scale: 'log' } }))).toBe(2);
    expect(one(points)).not.toMatch(/NaN|Infinity/);
  });

  it('marks what is infinite by a cross above all curves, side by side where several runs diverged', () => {
    const html = chart([
      { name: 'plain', style: 'dots', points: [[1, 2], [2, Infinity]] }, { name: 'qk-norm', style: 'dots', points: [[1, 1.5], [2, Infinity], [3, 1]] },
    ]);
    expect(html.match(/class="cross"/g)).toHaveLength(2);
    expect(html).toContain('<title>plain diverged at step 2</title>');
    const crosses = [...html.matchAll(/class="cross" d="M([\d.]+),([\d.]+)L/g)].map(([, x, y]) => [Number(x), Number(y)]);
    expect(crosses[1]![0]! - crosses[0]![0]!).toBeGreaterThan(8);
    const highest = Math.min(...[...html.matchAll(/cy="([\d.]+)"/g)].map(([, y]) => Number(y)));
    expect(Math.max(...crosses.map(([, y]) => y!)) + 8).toBeLessThan(highest);
    expect(html).not.toMatch(/NaN|Infinity/);
  });

  it('says the values of dots where they are pointed at', () => {
    expect(chart([{ name: 'plain & simple', style: 'dots', points: [[0.001, 2.34567]] }], { x: { label: 'learning rate', scale: 'log' } }))
      .toContain('<title>plain &amp; simple 2.346 at learning rate 0.001</title>');
  });

  it('draws reference lines that lie within the axes, with their names, and makes room for those of y', () => {
    const html = one([[0, 1], [10, 2]], { references: [{ axis: 'y', at: 8, label: 'bigrams' }, { axis: 'x', at: 5, label: 'end of warm-up' }, { axis: 'x', at: 50, label: 'beyond' }] });
    expect(html.match(/class="reference"/g)).toHaveLength(2);
    for (const text of ['>bigrams<', '>end of warm-up<']) expect(html).toContain(text);
    expect(html).not.toContain('beyond');
    expect(ticksOf(html, 'y').at(-1)![1]).toBe('8');
  });

  it('cuts curves off at the ends of a given domain', () => {
    const html = one([[0, 1], [10, 2000]], { y: { label: 'y', domain: [0, 10] } });
    expect(ticksOf(html, 'y').at(-1)![1]).toBe('10');
    expect(html).toMatch(/<svg x="0" y="10" width="800" height="250" viewBox="0 10 800 250">\n<g/); // an inner svg shows nothing outside of itself
    expect(one([[0, 1], [10, 2]], { x: { label: 'x', domain: [0, 5] } })).toContain('<svg x="72" y="0" width="714" height="300" viewBox="72 0 714 300">');
    checkNesting(html);
  });

  it('does not cut marks at the ends: dots stand whole within what is shown, and crosses outside of it', () => {
    const html = chart(['plain', 'qk-norm'].map((name) => ({ name, style: 'dots', points: [[1, 0], [2, Infinity]] })), { y: { label: 'y', domain: [0, 10] } });
    const [from, above, width, height] = html.match(/<svg x=[^>]* viewBox="([\d. ]+)"/)![1]!.split(' ').map(Number) as [number, number, number, number];
    for (const [, cx, cy, r] of html.matchAll(/cx="([\d.]+)" cy="([\d.]+)" r="([\d.]+)"/g)) {
      expect(Number(cx) - Number(r)).toBeGreaterThanOrEqual(from);
      expect(Number(cx) + Number(r)).toBeLessThanOrEqual(from + width);
      expect(Number(cy) + Number(r)).toBeLessThanOrEqual(above + height);
    }
    expect(html.slice(html.indexOf('</svg>')).match(/class="cross"/g)).toHaveLength(2);
    expect(chart([{ name: 'a', points: [[1, 0], [9, Infinity]] }], { x: { label: 'x', domain: [0, 5] } })).not.toContain('class="cross"');
    checkNesting(html);
  });

  it('names its curves in a legend, one by one or, where there are many in order, by the first and the last', () => {
    const series = (count: number): Series[] => Array.from({ length: count }, (_, i) => ({ name: `block ${i}`, points: [[0, i], [1, i + 1]] }));
    expect(chart(series(1))).not.toContain('legend');
    expect(chart(series(3)).match(/<li /g)).toHaveLength(3);
    const ordered = chart(series(24), { colors: 'ordered' });
    expect(ordered).toContain('<ul class="legend"><li>block 0</li><li class="ramp"></li><li>block 23</li></ul>');
    expect(ordered).toContain('color-mix(in oklch,var(--first) 100%,var(--last))');
    expect(ordered).toContain('color-mix(in oklch,var(--first) 0%,var(--last))');
  });

  it('gives series the colours of their places, or those they name', () => {
    const tones = (html: string): string[] => [...html.matchAll(/<g class="(tone-\d)"/g)].map(([, tone]) => tone!);
    const points: Series['points'] = [[0, 1], [1, 2]];
    expect(tones(chart(Array.from({ length: 9 }, (_, i) => ({ name: String(i), points }))))).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 1].map((each) => `tone-${each}`));
    expect(tones(chart([{ name: 'a', points, color: 2 }, { name: 'b', points, color: 2, style: 'dashed' }]))).toEqual(['tone-3', 'tone-3']);
    expect(tones(chart([{ name: 'empty', points: [] }, { name: 'b', points }]))).toEqual(['tone-2']); // leaving one out recolours nothing
  });

  it.each([
    ['nothing', []], ['a series without points', [{ name: 'a', points: [] }]], ['one point', [{ name: 'a', points: [[3, 2]] }]],
    ['only NaN', [{ name: 'a', points: [[0, NaN], [1, NaN]] }]], ['only infinities', [{ name: 'a', points: [[0, Infinity], [1, -Infinity]] }]],
    ['a constant', [{ name: 'a', points: [[0, 5], [1, 5]] }]], ['zeros', [{ name: 'a', points: [[0, 0], [0, 0]] }]],
  ] as [string, Series[]][])('draws %s without a NaN, on every kind of axis', (_, series) => {
    for (const scale of ['linear', 'log', 'auto'] as const) {
      const html = chart(series, { x: { label: 'x', scale }, y: { label: 'y', scale } });
      checkNesting(html);
      expect(html).not.toMatch(/NaN|Infinity|undefined/);
    }
  });

  it('keeps every text a text', () => {
    const evil = '"><script>alert(1)</script>';
    const html = chart([{ name: evil, style: 'dots', points: [[0, 1], [1, Infinity]] }, { name: evil, points: [[0, 1]] }], { title: evil, x: { label: evil, unit: evil }, y: { label: evil }, references: [{ axis: 'y', at: 1, label: evil }] });
    expect(html).not.toContain('<script');
    checkNesting(html);
  });

  it('stays small with many points on both sides of a gap', () => {
    const points = Array.from({ length: 50_000 }, (_, i) => [i, i === 20_000 ? NaN : Math.sin(i)] as const);
    expect(one(points).length).toBeLessThan(30_000);
  });
});
