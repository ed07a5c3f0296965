import { extent } from 'd3-array';
import { scaleLinear, scaleLog, type ScaleContinuousNumeric } from 'd3-scale';
import { line } from 'd3-shape';
import { thinned, type Point } from './curves.ts';
import { escapeHtml } from './escapeHtml.ts';
import { significant } from './format.ts';

/** Series — one curve: `tone` is its colour in the stylesheet, `style` how it is drawn. */
export type Series = { name: string; tone: string; style: 'faint' | 'line' | 'dots'; points: readonly Point[] };

export type LineChartOptions = {
  /** What is drawn, for readers who cannot see it. */
  label: string;
  yLabel: string;
  series: readonly Series[];
  /** Whether the y axis may start above 0 and turn logarithmic where values span more than a factor of 30. */
  mayBreakZero: boolean;
};

const [WIDTH, HEIGHT] = [800, 300];
const MARGIN = { top: 14, right: 18, bottom: 44, left: 76 } as const;
const LOG_FROM = 30;
const MAX_POINTS = 1200;

type Scale = ScaleContinuousNumeric<number, number>;

/** lineChart — an SVG with axes, ticks, labels and curves; coloured by the page's stylesheet, so it follows light and dark. */
export function lineChart({ label, yLabel, series, mayBreakZero }: LineChartOptions): string {
  const points = series.flatMap((each) => each.points);
  const x = scaleLinear(widened(extent(points, ([step]) => step)), [MARGIN.left, WIDTH - MARGIN.right]);
  const y = yScale(points.map(([, value]) => value), mayBreakZero).range([HEIGHT - MARGIN.bottom, MARGIN.top]);
  const drawn = series.map((each) => (each.style === 'dots' ? dots(each, x, y) : curve(each, x, y)));
  return [
    `<svg viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="${escapeHtml(label)}">`,
    yAxis(y, yLabel), xAxis(x), ...drawn, '</svg>',
  ].join('\n');
}

function yScale(values: readonly number[], mayBreakZero: boolean): Scale {
  const [low, high] = widened(extent(values));
  if (mayBreakZero && low > 0 && high / low > LOG_FROM) return scaleLog([low, high], [0, 1]).nice();
  return scaleLinear([mayBreakZero ? low : Math.min(0, low), high], [0, 1]).nice();
}

/** A domain that is never empty: a single value gets some room around it. */
function widened([low = 0, high = 1]: [number, number] | [undefined, undefined]): [number, number] {
  return low < high ? [low, high] : [low - (Math.abs(low) || 1) / 2, high + (Math.abs(high) || 1) / 2];
}

function yAxis(y: Scale, label: string): string {
  const middle = (MARGIN.top + HEIGHT - MARGIN.bottom) / 2;
  const ticks = yTicks(y).map((tick) => {
    const at = y(tick).toFixed(1);
    return `<line class="grid" x1="${MARGIN.left}" x2="${WIDTH - MARGIN.right}" y1="${at}" y2="${at}"/>`
      + `<text x="${MARGIN.left - 10}" y="${at}" dy="0.32em" text-anchor="end">${significant(tick)}</text>`;
  });
  return `<g class="axis">${ticks.join('')}<text class="label" transform="translate(13 ${middle}) rotate(-90)" text-anchor="middle">${escapeHtml(label)}</text></g>`;
}

/** About six; on a logarithmic axis those that begin with 1, 2 or 5, or powers of ten alone where these are too many. */
function yTicks(y: Scale): number[] {
  const ticks = y.ticks(6);
  if (!('base' in y) || ticks.length <= 8) return ticks;
  const leading = (tick: number): number => Math.round(tick / 10 ** Math.floor(Math.log10(tick) + 1e-9));
  const few = ticks.filter((tick) => [1, 2, 5].includes(leading(tick)));
  return few.length <= 8 ? few : few.filter((tick) => leading(tick) === 1);
}

function xAxis(x: Scale): string {
  const bottom = HEIGHT - MARGIN.bottom;
  const ticks = x.ticks(8).filter(Number.isInteger).map((tick) => {
    const at = x(tick).toFixed(1);
    return `<line class="tick" x1="${at}" x2="${at}" y1="${bottom}" y2="${bottom + 5}"/><text x="${at}" y="${bottom + 19}" text-anchor="middle">${tick.toLocaleString('en')}</text>`;
  });
  const base = `<line class="base" x1="${MARGIN.left}" x2="${WIDTH - MARGIN.right}" y1="${bottom}" y2="${bottom}"/>`;
  return `<g class="axis">${base}${ticks.join('')}<text class="label" x="${(MARGIN.left + WIDTH - MARGIN.right) / 2}" y="${HEIGHT - 6}" text-anchor="middle">step</text></g>`;
}

function curve({ tone, style, points }: Series, x: Scale, y: Scale): string {
  const path = line<Point>(([step]) => x(step), ([, value]) => y(value)).digits(1)(thinned(points, MAX_POINTS)) ?? '';
  return `<path class="curve ${tone} ${style}" d="${path}"/>`;
}

/** A thin line through marked points; each says its value when pointed at. */
function dots(series: Series, x: Scale, y: Scale): string {
  const shown = thinned(series.points, 200);
  const marks = shown.map(([step, value]) =>
    `<circle class="${series.tone}" cx="${x(step).toFixed(1)}" cy="${y(value).toFixed(1)}" r="${shown.length > 60 ? 2 : 3.5}">`
    + `<title>${escapeHtml(series.name)} ${significant(value)} at step ${step}</title></circle>`);
  return curve(series, x, y) + marks.join('');
}
