/** The table of `pnpm bench:peers`: one row per workload and contender, at most 80 columns wide. */
import { quantile } from 'd3-array';

export type Row = {
  readonly workload: string; readonly contender: string; readonly samples: number;
  readonly median?: number; readonly p10?: number; readonly p90?: number; readonly ratio?: number; readonly reason?: string;
};

const columns = (workload: string, contender: string, numbers: readonly string[]): string =>
  `${workload.padEnd(12)} ${contender.padEnd(20)} ${numbers.map((each) => each.padStart(9)).join(' ')}`;

export const HEADER = columns('ms', '', ['median', 'p10', 'p90', '× ours']);

/** rowOf — the quantiles of what was measured; `ours` is the median of Evenkeel on all threads, where there is one. */
export function rowOf(workload: string, contender: string, times: readonly number[], ours: number | undefined, reason: string | undefined): Row {
  if (reason !== undefined || times.length === 0) return { workload, contender, samples: 0, reason: reason ?? 'no samples' };
  const [median, p10, p90] = [0.5, 0.1, 0.9].map((share) => quantile(times, share)) as [number, number, number];
  return { workload, contender, samples: times.length, median, p10, p90, ...(ours === undefined ? {} : { ratio: median / ours }) };
}

export function lineOf({ workload, contender, median, p10, p90, ratio }: Row): string {
  return columns(workload, contender, [median, p10, p90, ratio].map((value) => value?.toFixed(2) ?? '—'));
}
