import { ConfigError } from '@evenkeel/core-tensor';
import { configDifferences, jsonCopy, type RunConfig } from '../configDifferences.ts';
import type { RunStore } from '../runStore.ts';

const PLAN_PATH = 'multilevel.json';

/**
 * claimPlan — writes down what a cycle is, or compares it with what was written: the stages of another cycle would be gone on with
 * although what they began with would be something else.
 *
 * @throws ConfigError  if the store has a cycle but `resume` is not set, or it is another cycle.
 */
export async function claimPlan(store: RunStore, plan: RunConfig, resume: boolean): Promise<void> {
  const text = await store.readText(PLAN_PATH);
  if (text === undefined) return store.writeText(PLAN_PATH, `${JSON.stringify(plan, null, 2)}\n`);
  if (!resume) throw new ConfigError(`multilevelTrain: store must be empty unless resume is true, got a cycle's ${PLAN_PATH}. Resume it or choose another place.`);
  const differences = configDifferences(parsed(text), jsonCopy(plan));
  if (differences.length > 0) throw new ConfigError(`multilevelTrain: ${PLAN_PATH} must be of the same cycle, got another: ${differences.join('; ')}`);
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new ConfigError(`multilevelTrain: ${PLAN_PATH} must be JSON, got ${JSON.stringify(text.slice(0, 60))}`);
  }
}
