import { describe, expect, it } from 'vitest';
import { stallWatch } from '../src/stallWatch.ts';

describe('stallWatch', () => {
  it('stallWatch(stallMs) gives up after that time without another finished chunk', () => {
    const stalled = stallWatch(300, 0);
    expect([100, 200, 300, 400].map((now) => stalled(1, now))).toEqual([false, false, false, true]);
  });

  it('stallWatch(stallMs) starts again whenever a chunk is finished', () => {
    const stalled = stallWatch(300, 0);
    expect([100, 200, 300, 400, 500, 600, 700].map((now) => stalled(Math.floor(now / 200), now))).not.toContain(true);
    expect([800, 900, 1000, 1100].map((now) => stalled(4, now))).toEqual([false, false, false, true]);
  });

  it('stallWatch(stallMs) counts a long sleep between two looks as 200 ms', () => {
    const stalled = stallWatch(300, 0);
    stalled(0, 100);
    expect(stalled(0, 3_600_000)).toBe(false);
    expect(stalled(0, 3_600_100)).toBe(true);
  });
});
