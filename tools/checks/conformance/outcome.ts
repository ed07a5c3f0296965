import { failed, fromProblems, merge, type Outcome } from '../outcome.ts';
import type { ConformanceRun } from './run.ts';

/** conformanceOutcome — one test per kernel; a suite without kernels is a failure. */
export function conformanceOutcome(title: string, { results, adapter, features, invocations, seconds }: ConformanceRun): Outcome {
  const worst = results.reduce((most, each) => (each.worst > most.worst ? each : most), { kernel: 'none', worst: 0 });
  const rows = results.reduce((sum, each) => sum + each.rows, 0);
  process.stdout.write(`  ${title}: ${adapter}, ${invocations} invocations, ${features.join(' and ') || 'neither f16 nor subgroups'}\n`);
  process.stdout.write(`  ${title}: ${results.length} kernels in ${rows} rows, ${seconds.toFixed(1)} s; the largest error is ${worst.worst.toFixed(2)} of what is allowed (${worst.kernel})\n`);
  if (rows === 0) return failed(`${title}: must run kernels, found none`);
  return merge(results.map(({ kernel, failures }) => fromProblems(`${title}, ${kernel}`, failures)));
}
