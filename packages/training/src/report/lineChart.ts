import { scaleOf, xAxis, yAxis } from './axes.ts';
import { frameOf, type Frame, type LineChart, type Series } from './chartTypes.ts';
import { escapeHtml } from './escapeHtml.ts';
import { crossesOf, curveOf, HEADROOM, isDiverged, referencesOf, type ToneSeries } from './marks.ts';

/** How many colours of categories the stylesheet has; later series begin anew. */
const CATEGORIES = 8;

/** Half of what the largest dot is high and wide. */
const HALF_MARK = 4;

/** Ordered series beyond this many are named by their first and last alone. */
const NAMED_ONE_BY_ONE = 8;

/**
 * lineChart — curves with axes, ticks, units and a legend, as one HTML figure without scripts.
 *
 * Colours are those of the stylesheet of `renderPage`, which follows light and dark. Series without points are left out.
 *
 * @returns  a `<figure>`; every text in it is escaped.
 */
export function lineChart(chart: LineChart): string {
  const { title, showTitle = true } = chart;
  const series = chart.series.map((each, i): ToneSeries => ({ ...each, tone: toneOf(chart, each, i) })).filter(({ points }) => points.length > 0);
  return [
    `<figure class="chart ${chart.width ?? 'full'}">`,
    ...(showTitle ? [`<figcaption>${escapeHtml(title)}</figcaption>`] : []),
    ...legendOf(chart, series),
    ...drawingOf(chart, series),
    '</figure>',
  ].join('\n');
}

function drawingOf(chart: LineChart, series: readonly ToneSeries[]): string[] {
  const { references = [] } = chart;
  const frame = frameOf(chart);
  const { width, height, left, right, top, bottom } = frame;
  const points = series.flatMap((each) => each.points);
  const [xs, ys] = [points.map(([at]) => at), points.map(([, value]) => value)];
  const x = scaleOf(chart.x, xs, [left, right], false);
  const y = scaleOf(chart.y, [...ys, ...references.flatMap(({ axis, at }) => (axis === 'y' ? [at] : []))], [bottom, points.some(isDiverged) ? top + HEADROOM : top], true);
  const place = { x, y, frame, xAxis: chart.x };
  const { lines, names } = referencesOf(references, place);
  const curves = series.map((each) => curveOf(each, place));
  const isCut = chart.x.domain !== undefined || chart.y.domain !== undefined;
  return [
    `<svg viewBox="0 0 ${width} ${height}" role="img" aria-label="${escapeHtml(`${chart.title} by ${chart.x.label}`)}">`,
    yAxis(y, chart.y, frame), xAxis(x, chart.x, xs, frame), lines,
    ...(isCut ? [`<svg ${cutBox(chart, frame)}>`, ...curves, '</svg>'] : curves),
    crossesOf(series, place), names, '</svg>',
  ].filter((each) => each !== '');
}

/** What is seen of the curves: they are cut off where a domain ends, but for half a mark; an axis without one has room for all of them. */
function cutBox({ x, y }: LineChart, { width, height, left, right, top, bottom }: Frame): string {
  const [from, to] = x.domain === undefined ? [0, width] : [left - HALF_MARK, right + HALF_MARK];
  const [above, below] = y.domain === undefined ? [0, height] : [top - HALF_MARK, bottom + HALF_MARK];
  return `x="${from}" y="${above}" width="${to - from}" height="${below - above}" viewBox="${from} ${above} ${to - from} ${below - above}"`;
}

/** The attribute that gives a series its colour. */
function toneOf({ colors = 'categories', series }: LineChart, { color }: Series, place: number): string {
  const index = color ?? place;
  if (colors === 'categories') return ` class="tone-${(index % CATEGORIES) + 1}"`;
  const last = Math.max(...series.map((each, i) => each.color ?? i));
  const share = last === 0 ? 0 : Math.round((100 * index) / last);
  return ` style="--tone:color-mix(in oklch,var(--first) ${100 - share}%,var(--last))"`;
}

/** None for one curve; for many ordered ones a ramp from the first to the last. */
function legendOf({ colors }: LineChart, series: readonly ToneSeries[]): string[] {
  const [first, last] = [series[0], series.at(-1)];
  if (first === undefined || last === undefined || first === last) return [];
  if (colors === 'ordered' && series.length > NAMED_ONE_BY_ONE) {
    return [`<ul class="legend"><li>${escapeHtml(first.name)}</li><li class="ramp"></li><li>${escapeHtml(last.name)}</li></ul>`];
  }
  const entries = series.map(({ name, tone, style = 'line' }) => `<li${tone}><i class="${style}"></i>${escapeHtml(name)}</li>`);
  return [`<ul class="legend">${entries.join('')}</ul>`];
}
