/** The table of `pnpm bench:peers`: one row per workload and contender, at most 80 columns wide. */
import { quantile } from 'd3-array';

export type Row = {
  readonly workload: string; readonly contender: string; readonly samples: number;
  readonly median?: number; readonly p10?: number; readonly p90?: number; readonly ratio?: number; readonly reason?: string;
  /** The most bytes in use at once, where it is a training step and the contender can tell. */
  readonly peakBytes?: number;
};

const columns = (workload: string, contender: string, numbers: readonly string[]): string =>
  `${workload.padEnd(11)} ${contender.padEnd(20)} ${numbers.map((each) => each.padStart(8)).join(' ')}`;

export const HEADER = columns('ms', '', ['median', 'p10', 'p90', '× ours', 'peak MiB']);

/** rowOf — the quantiles of what was measured; `ours` is the median of Evenkeel on all threads, where there is one. */
export function rowOf(workload: string, contender: string, times: readonly number[], ours: number | undefined, { reason, peakBytes }: Pick<Row, 'reason' | 'peakBytes'>): Row {
  if (reason !== undefined || times.length === 0) return { workload, contender, samples: 0, reason: reason ?? 'no samples' };
  const [median, p10, p90] = [0.5, 0.1, 0.9].map((share) => quantile(times, share)) as [number, number, number];
  return { workload, contender, samples: times.length, median, p10, p90, ...(ours === undefined ? {} : { ratio: median / ours }), ...(peakBytes === undefined ? {} : { peakBytes }) };
}

export function lineOf({ workload, contender, median, p10, p90, ratio, peakBytes }: Row): string {
  const peak = peakBytes === undefined ? '' : (peakBytes / 2 ** 20).toFixed(1);
  return columns(workload, contender, [...[median, p10, p90, ratio].map((value) => value?.toFixed(2) ?? '—'), peak]);
}
