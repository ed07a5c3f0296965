import type { Schedule } from '@evenkeel/core-tensor';
import { constant, cosine, joinSchedules, warmupLinear, wsd } from '@evenkeel/optimizers';
import type { SCHEDULES } from './techniqueNames.ts';

export type ScheduleName = (typeof SCHEDULES)[number];

export type ScheduleSettings = {
  readonly steps: number;
  readonly learningRate: number;
  readonly warmup: number;
  readonly schedule: ScheduleName;
};

/** FLOOR — the share of the highest learning rate at which the cosine schedule ends (arXiv:2005.14165, appendix B). */
const FLOOR = 0.1;

/** scheduleOf — the learning rate of every step of a run. */
export function scheduleOf({ schedule, learningRate: peak, warmup, steps }: ScheduleSettings): Schedule {
  if (schedule === 'cosine') return cosine({ peak, steps, warmup, floor: FLOOR * peak });
  if (schedule === 'wsd') return wsd({ peak, steps, warmup });
  return warmup === 0 ? constant(peak) : joinSchedules([{ schedule: warmupLinear({ peak, warmup }) }]);
}

/** warmupLimit — the longest warm-up that ends before the last part of the schedule begins. */
export function warmupLimit(schedule: ScheduleName, steps: number): number {
  if (schedule === 'cosine') return steps - 1;
  return schedule === 'wsd' ? steps - Math.max(1, Math.round(steps / 5)) : steps;
}
