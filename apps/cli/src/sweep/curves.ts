import type { Metrics, MonitorMetrics, Point } from '@evenkeel/training';

/** RunCurves — what is drawn of a run over its steps. Values that are not finite are left out. */
export type RunCurves = {
  /** Training loss in nats; of a long run, means over stretches. */
  readonly loss: readonly Point[];
  /** Attention entropy as a share of the largest possible: the mean over the heads of the block in which it is lowest. */
  readonly entropy: readonly Point[];
  /** The largest attention logit of all blocks and heads. */
  readonly maxLogit: readonly Point[];
  /** Mean log Σ exp of the output logits. */
  readonly logPartition: readonly Point[];
};

const MOST = 100;

/** curvesOf — the curves of a run from its metrics. */
export function curvesOf(metrics: readonly Metrics[]): RunCurves {
  const readings = metrics.filter((each): each is MonitorMetrics => each.kind === 'monitor');
  const over = (name: RegExp, reduce: (values: readonly (readonly number[])[]) => number): Point[] => readings.flatMap(({ step, values }) => {
    const found = Object.entries(values).flatMap(([key, list]) => (name.test(key) ? [list] : []));
    const value = found.length === 0 ? NaN : reduce(found);
    return Number.isFinite(value) ? [[step, rounded(value)] as const] : [];
  });
  return {
    loss: averaged(metrics.flatMap((each) => (each.kind === 'step' ? [[each.step, each.loss] as const] : []))),
    entropy: over(/\.attn\.entropy$/, (blocks) => Math.min(...blocks.map(meanOf))),
    maxLogit: over(/\.attn\.maxLogit$/, (blocks) => Math.max(...blocks.flat())),
    logPartition: over(/^logits\.logPartition$/, ([values]) => values?.[0] ?? NaN),
  };
}

/** Means over stretches of equal length, if there are more points than can be told apart. */
function averaged(points: readonly Point[]): Point[] {
  const size = Math.ceil(points.length / MOST);
  return Array.from({ length: Math.ceil(points.length / (size || 1)) }, (_, i) => {
    const stretch = points.slice(i * size, (i + 1) * size);
    return [(stretch.at(-1) as Point)[0], rounded(meanOf(stretch.map(([, value]) => value)))] as const;
  });
}

const meanOf = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;

const rounded = (value: number): number => Number(value.toPrecision(6));
