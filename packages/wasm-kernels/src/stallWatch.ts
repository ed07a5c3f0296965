/**
 * stallWatch — tells when a job has made no progress for `stallMs`: call it again and again with the number of chunks finished so
 * far and the time. Between two calls at most 200 ms count: time asleep (a closed laptop) is not waiting.
 *
 * @returns a function that gives true once the job is to be given up.
 */
export function stallWatch(stallMs: number, start: number): (finished: number, now: number) => boolean {
  let waited = 0;
  let before = start;
  let seen = -1;
  return (finished, now) => {
    waited = finished === seen ? waited + Math.min(now - before, 200) : 0;
    seen = finished;
    before = now;
    return waited >= stallMs;
  };
}
