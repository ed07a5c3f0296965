import type { Finding, Reading } from '@evenkeel/core-tensor';
import type { Alarm, Detector } from './detector.ts';
import { divergence, lossSpike } from './detectors/loss.ts';
import { entropyCollapse } from './detectors/entropyCollapse.ts';
import { logitGrowth } from './detectors/logitGrowth.ts';
import { nonFinite } from './detectors/nonFinite.ts';
import { outputLogitDrift } from './detectors/outputLogitDrift.ts';
import { vanishingUpdates } from './detectors/vanishingUpdates.ts';
import type { Thresholds } from './thresholds.ts';

const DETECTORS: readonly Detector[] = [nonFinite, lossSpike, divergence, entropyCollapse, logitGrowth, outputLogitDrift, vanishingUpdates];

/** Readings that a detector sees besides the first one of the run. */
const WINDOW = 30;
/** Readings for which an alarm must have been off before it is said again. */
const QUIET = 10;

/** judge — the findings that are new at a reading: a function of the readings up to it. */
export function judge(reading: Reading, earlier: readonly Reading[], thresholds: Thresholds): Finding[] {
  const alarms = alarmsAt(reading, earlier, earlier.length, thresholds);
  if (alarms.length === 0) return [];
  const said = new Set<string>();
  for (let i = Math.max(0, earlier.length - QUIET); i < earlier.length; i++) {
    for (const { key } of alarmsAt(earlier[i] as Reading, earlier, i, thresholds)) said.add(key);
  }
  return alarms.filter(({ key }) => !said.has(key)).map(({ key: _, ...finding }) => finding);
}

/** The alarms at a reading before which there are the first `count` of `earlier`. */
function alarmsAt(reading: Reading, earlier: readonly Reading[], count: number, thresholds: Thresholds): Alarm[] {
  const from = Math.max(1, count - WINDOW + 1);
  const seen = [...earlier.slice(0, Math.min(1, count)), ...earlier.slice(from, count), reading];
  return DETECTORS.flatMap((detector) => detector(seen, thresholds));
}
