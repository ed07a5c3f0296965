import { extent } from 'd3-array';
import { scaleLinear, scaleLog, type ScaleContinuousNumeric } from 'd3-scale';
import type { Axis, Frame } from './chartTypes.ts';
import { escapeHtml } from './escapeHtml.ts';
import { significant } from './format.ts';

/** Scale — from values to coordinates. */
export type Scale = ScaleContinuousNumeric<number, number>;

const LOG_FROM = 30;

/**
 * scaleOf — the scale of an axis for `values`, those that are not finite or that a logarithm has no place for left out.
 *
 * @param round  whether the ends move outwards to round values, unless the axis gives its domain.
 */
export function scaleOf({ scale = 'linear', fromZero = false, domain }: Axis, values: readonly number[], range: readonly [number, number], round: boolean): Scale {
  const finite = values.filter(Number.isFinite);
  const [low = 0, high = 0] = domain ?? extent(finite);
  const isLog = scale === 'log' || (scale === 'auto' && low > 0 && high / low > LOG_FROM);
  const made = isLog
    ? scaleLog(domain ?? widenedLog(extent(finite.filter((value) => value > 0))), range)
    : scaleLinear(domain ?? widened(finite.length === 0 ? [0, 1] : [fromZero ? Math.min(0, low) : low, high]), range);
  if (!round || domain !== undefined) return made;
  return isLog && high / low < LOG_FROM ? made.domain(withRoom(made.domain())) : made.nice();
}

/** Some room at both ends of a short logarithmic axis, whose next round values may be far away. */
function withRoom(domain: number[]): number[] {
  const [low = 1, high = 10] = domain;
  const room = (high / low) ** 0.04;
  return [low / room, high * room];
}

/** isLog — whether a scale is logarithmic. */
export const isLog = (scale: Scale): boolean => 'base' in scale;

/** hasPlace — whether a value is a point of the scale at all. */
export const hasPlace = (scale: Scale, value: number): boolean => Number.isFinite(value) && (value > 0 || !isLog(scale));

/** A domain that is never empty: a single value gets some room around it. */
function widened([low, high]: [number, number]): [number, number] {
  return low < high ? [low, high] : [low - (Math.abs(low) || 1) / 2, high + (Math.abs(high) || 1) / 2];
}

const widenedLog = ([low = 1, high = 10]: [number, number] | [undefined, undefined]): [number, number] => (low < high ? [low, high] : [low / 2, high * 2]);

/** yAxis — grid lines, ticks and the label, which is turned. */
export function yAxis(y: Scale, axis: Axis, { left, right, top, bottom }: Frame): string {
  const ticks = ticksOf(y, 6).map((tick) => {
    const at = y(tick).toFixed(1);
    return `<line class="grid" x1="${left}" x2="${right}" y1="${at}" y2="${at}"/>`
      + `<text x="${left - 10}" y="${at}" dy="0.32em" text-anchor="end">${significant(tick)}</text>`;
  });
  return `<g class="axis">${ticks.join('')}<text class="label" transform="translate(13 ${(top + bottom) / 2}) rotate(-90)" text-anchor="middle">${labelOf(axis, y)}</text></g>`;
}

/** xAxis — the line below, ticks and the label. Where all values are whole numbers, so are the ticks. */
export function xAxis(x: Scale, axis: Axis, values: readonly number[], { left, right, bottom, width, height }: Frame): string {
  const isWhole = values.every(Number.isInteger) && !isLog(x);
  const ticks = (measuredTicks(x, values) ?? ticksOf(x, Math.round(width / 100))).filter((tick) => !isWhole || Number.isInteger(tick)).map((tick) => {
    const at = x(tick).toFixed(1);
    return `<line class="tick" x1="${at}" x2="${at}" y1="${bottom}" y2="${bottom + 5}"/><text x="${at}" y="${bottom + 19}" text-anchor="middle">${significant(tick)}</text>`;
  });
  const base = `<line class="base" x1="${left}" x2="${right}" y1="${bottom}" y2="${bottom}"/>`;
  return `<g class="axis">${base}${ticks.join('')}<text class="label" x="${(left + right) / 2}" y="${height - 6}" text-anchor="middle">${labelOf(axis, x)}</text></g>`;
}

/** On a logarithmic axis the values themselves, where they are few and far enough apart: the learning rates of a sweep. */
function measuredTicks(x: Scale, values: readonly number[]): number[] | undefined {
  const distinct = [...new Set(values)].filter((value) => hasPlace(x, value)).sort((a, b) => a - b);
  if (!isLog(x) || distinct.length > 12) return undefined;
  const isNarrow = distinct.some((value, i) => i > 0 && x(value) - x(distinct[i - 1] as number) < 44);
  return isNarrow ? undefined : distinct;
}

/** `loss (nats, log scale)`. */
function labelOf({ label, unit }: Axis, scale: Scale): string {
  const about = [...(unit === undefined ? [] : [unit]), ...(isLog(scale) ? ['log scale'] : [])].join(', ');
  return escapeHtml(about === '' ? label : `${label} (${about})`);
}

/** About `count`; on a logarithmic axis those that begin with 1, 2 or 5, with 1 or 3, or powers of ten alone: the most that are few enough. */
function ticksOf(scale: Scale, count: number): number[] {
  const ticks = scale.ticks(count);
  if (!isLog(scale) || ticks.length <= count + 2) return ticks;
  const leading = (tick: number): number => Math.round(tick / 10 ** Math.floor(Math.log10(tick) + 1e-9));
  const among = (digits: readonly number[]): number[] => ticks.filter((tick) => digits.includes(leading(tick)));
  const found = [[1, 2, 5], [1, 3]].map(among).find((few) => few.length <= count + 2) ?? among([1]);
  return found.filter((_, i) => i % Math.ceil(found.length / (count + 2)) === 0);
}
