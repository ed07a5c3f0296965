import type { Point } from './curves.ts';

/** Series — one curve of a chart. */
export type Series = {
  name: string;
  /**
   * `[x, y]` in the order of x. A y of NaN leaves a gap; one of Infinity, such as the loss of a run that diverged, is a cross at the upper
   * edge. On a logarithmic axis what is not above 0 leaves a gap, too.
   */
  points: readonly Point[];
  /** `line` (default), `faint` and `dashed` are lines; `dots` marks each point on a thin one, and says its value when pointed at. */
  style?: 'line' | 'faint' | 'dashed' | 'dots';
  /** Which of the chart's colours, counted from 0; two series may share one. Default: the place of the series. */
  color?: number;
};

/** Axis — what an axis measures. */
export type Axis = {
  label: string;
  /** Stands behind the label in brackets: `nats`, `tokens`. That an axis is logarithmic stands there by itself. */
  unit?: string;
  /** `auto` is `log` where all values are above 0 and span more than a factor of 30, else `linear`. Default `linear`. */
  scale?: 'linear' | 'log' | 'auto';
  /** Whether a linear axis begins at 0. Default false. */
  fromZero?: boolean;
  /** The ends of the axis; curves are cut off there. Default: what the values need. */
  domain?: readonly [low: number, high: number];
};

/** Reference — a dashed line across the chart at `at`, with a name: a theoretical value, a threshold, the end of a warm-up. */
export type Reference = { axis: 'x' | 'y'; at: number; label: string };

export type LineChart = {
  /** Above the chart, and its name for readers who cannot see it. */
  title: string;
  /** Whether the title is shown (default), or stands already above the chart. */
  showTitle?: boolean;
  x: Axis;
  y: Axis;
  series: readonly Series[];
  references?: readonly Reference[];
  /** `categories` (default): colours that differ as much as they can. `ordered`: from one colour to another, for layers or widths. */
  colors?: 'categories' | 'ordered';
  /** `half`: for two charts side by side. Default `full`. */
  width?: 'full' | 'half';
};

/** Frame — where in the drawing the axes lie. */
export type Frame = { readonly width: number; readonly height: number; readonly left: number; readonly right: number; readonly top: number; readonly bottom: number };

/** frameOf — the frame of a chart; `left`, `right`, `top` and `bottom` are coordinates. */
export function frameOf({ width }: Pick<LineChart, 'width'>): Frame {
  const [w, h] = width === 'half' ? [430, 270] : [800, 300];
  return { width: w, height: h, left: 76, right: w - 18, top: 14, bottom: h - 44 };
}
