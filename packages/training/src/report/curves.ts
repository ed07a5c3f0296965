import { cumsum, extent } from 'd3-array';

/** Point — a step and what was measured there. */
export type Point = readonly [step: number, value: number];

/** Share of all points, on either side of a point, that its smoothed value is fitted to. */
const REACH = 1 / 60;

/**
 * smoothed — at each point the straight line that best fits its neighbours: in the middle their mean, and towards both ends
 * free of the lag of a mean. Never outside the range of the values.
 */
export function smoothed(points: readonly Point[]): Point[] {
  const values = points.map(([, value]) => value);
  const [low = 0, high = 0] = extent(values);
  const sums = [0, ...cumsum(values)];
  const moments = [0, ...cumsum(values, (value, i) => i * value)];
  const reach = Math.ceil(points.length * REACH);
  return points.map(([step], i) => {
    const [from, to] = [Math.max(0, i - reach), Math.min(points.length, i + reach + 1)];
    const count = to - from;
    const centre = (from + to - 1) / 2;
    const mean = ((sums[to] as number) - (sums[from] as number)) / count;
    const covariance = (moments[to] as number) - (moments[from] as number) - count * centre * mean;
    const slope = count < 2 ? 0 : covariance / ((count * (count * count - 1)) / 12);
    return [step, Math.min(high, Math.max(low, mean + slope * (i - centre)))];
  });
}

/**
 * thinned — at most about `count` points that look the same: of each bin the lowest and the highest, in the order of the steps.
 */
export function thinned(points: readonly Point[], count: number): Point[] {
  if (points.length <= count) return [...points];
  const size = (2 * points.length) / count;
  const kept: Point[] = [];
  for (let start = 0; start < points.length; start += size) {
    const bin = points.slice(Math.floor(start), Math.floor(start + size));
    const [first] = bin;
    if (first === undefined) continue;
    let [low, high] = [first, first];
    for (const point of bin) {
      if (point[1] < low[1]) low = point;
      if (point[1] > high[1]) high = point;
    }
    kept.push(...(low === high ? [low] : low[0] < high[0] ? [low, high] : [high, low]));
  }
  return kept;
}
