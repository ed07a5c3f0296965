import type { Finding, Reading } from '@evenkeel/core-tensor';
import type { Thresholds } from './thresholds.ts';

/** Alarm — a finding as long as it holds; `key`: alarms of one key are the same one going on. */
export type Alarm = Finding & { readonly key: string };

/** Detector — what holds at the last of some readings. The first reading of the run is the first of them, the rest are the last ones in a row. */
export type Detector = (readings: readonly Reading[], thresholds: Thresholds) => readonly Alarm[];
