import { everyStep } from '@evenkeel/core-tensor';

/** countStep — one step more. */
export function countStep(state: { count: number }): void {
  everyStep(() => { state.count += 1; });
}
