import { line } from 'd3-shape';
import { hasPlace, type Scale } from './axes.ts';
import type { Axis, Frame, Reference, Series } from './chartTypes.ts';
import { thinned, type Point } from './curves.ts';
import { escapeHtml } from './escapeHtml.ts';
import { significant } from './format.ts';

const MAX_POINTS = 1200;
const MAX_DOTS = 200;

/** ToneSeries — a series with the attribute that colours it. */
export type ToneSeries = Series & { readonly tone: string };

type Place = { readonly x: Scale; readonly y: Scale; readonly frame: Frame; readonly xAxis: Axis };

/** Height above the curves, where the crosses are. */
export const HEADROOM = 20;

/** curveOf — a series as SVG: its path with gaps, and its marks. */
export function curveOf({ name, points, tone, style = 'line' }: ToneSeries, { x, y, xAxis }: Place): string {
  const most = style === 'dots' ? MAX_DOTS : MAX_POINTS;
  const drawn = segmentsOf(points, x, y).map((segment) => thinned(segment, Math.max(2, Math.floor((most * segment.length) / points.length))));
  const path = line<Point>(([at]) => x(at), ([, value]) => y(value)).digits(1);
  const d = drawn.filter((segment) => segment.length > 1 || style !== 'dots').map((segment) => path(segment) ?? '').join('');
  const marks = style === 'dots' ? drawn.flat() : [];
  return [
    `<g${tone}>`,
    d === '' ? '' : `<path class="curve ${style}" d="${d}"/>`,
    ...marks.map((point) => `<circle cx="${x(point[0]).toFixed(1)}" cy="${y(point[1]).toFixed(1)}" r="${marks.length > 60 ? 2 : 3.5}">${titleOf(name, xAxis, point)}</circle>`),
    '</g>',
  ].join('');
}

const titleOf = (name: string, { label }: Axis, [at, value]: Point): string =>
  `<title>${escapeHtml(`${name} ${Number.isFinite(value) ? significant(value) : 'diverged'} at ${label} ${significant(at)}`)}</title>`;

/** isDiverged — whether a point is one that only a cross can show. */
export const isDiverged = ([, value]: Point): boolean => value === Infinity;

/** crossesOf — a cross above the curves for each point that is infinite; those at one place stand side by side. */
export function crossesOf(series: readonly ToneSeries[], { x, frame, xAxis }: Place): string {
  const isBeside = (at: number): boolean => hasPlace(x, at) && x(at) > frame.left - 1 && x(at) < frame.right + 1;
  const crosses = series.flatMap(({ points, ...each }) => points.filter((point) => isDiverged(point) && isBeside(point[0])).map((point) => ({ ...each, point })));
  const counts = new Map<number, number>();
  return crosses.map(({ name, tone, point }) => {
    const [at] = point;
    const all = crosses.filter((each) => each.point[0] === at).length;
    const place = counts.get(at) ?? 0;
    counts.set(at, place + 1);
    const shift = Math.min(11, 44 / all) * (place - (all - 1) / 2);
    return `<g${tone}>${crossAt(x(at) + shift, frame.top + 6, titleOf(name, xAxis, point))}</g>`;
  }).join('');
}

/** The stretches of a series that have a place on both scales. */
function segmentsOf(points: readonly Point[], x: Scale, y: Scale): Point[][] {
  const segments: Point[][] = [];
  let isOpen = false;
  for (const point of points) {
    const isPlaced = hasPlace(x, point[0]) && hasPlace(y, point[1]);
    if (isPlaced && isOpen) (segments.at(-1) as Point[]).push(point);
    else if (isPlaced) segments.push([point]);
    isOpen = isPlaced;
  }
  return segments;
}

function crossAt(x: number, y: number, title: string): string {
  const [l, r, t, b] = [x - 4, x + 4, y - 4, y + 4].map((each) => each.toFixed(1));
  return `<path class="cross" d="M${l},${t}L${r},${b}M${l},${b}L${r},${t}">${title}</path>`;
}

/** referencesOf — dashed lines, and their names apart, to be drawn after the curves; nothing for those outside the axes. */
export function referencesOf(references: readonly Reference[], place: Omit<Place, 'xAxis'>): { lines: string; names: string } {
  const drawn = references.map((each) => referenceOf(each, place));
  return { lines: drawn.map(([line]) => line).join(''), names: drawn.map(([, name]) => name).join('') };
}

function referenceOf({ axis, at, label }: Reference, { x, y, frame: { left, right, top, bottom } }: Omit<Place, 'xAxis'>): [line: string, name: string] {
  const scale = axis === 'x' ? x : y;
  const place = hasPlace(scale, at) ? scale(at) : NaN;
  const isInside = axis === 'x' ? place >= left && place <= right : place >= top && place <= bottom;
  if (!isInside) return ['', ''];
  const p = place.toFixed(1);
  const named = (tx: number, ty: number, anchor: string): string => `<text class="named" x="${tx.toFixed(1)}" y="${ty.toFixed(1)}" text-anchor="${anchor}">${escapeHtml(label)}</text>`;
  if (axis === 'y') return [`<line class="reference" x1="${left}" x2="${right}" y1="${p}" y2="${p}"/>`, named(right - 4, place + (place - top < HEADROOM + 16 ? 14 : -5), 'end')];
  const isLate = place > (left + right) / 2;
  return [`<line class="reference" x1="${p}" x2="${p}" y1="${top}" y2="${bottom}"/>`, named(place + (isLate ? -5 : 5), top + HEADROOM + 11, isLate ? 'end' : 'start')];
}
