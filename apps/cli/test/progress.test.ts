import { PassThrough } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { progressBar, progressLines, rateMeter } from '../src/progress.ts';

/** A clock that a test moves by hand. */
function clock() {
  let time = 0;
  return { now: () => time, tick: (ms: number) => { time += ms; } };
}

describe('rateMeter', () => {
  it('rateMeter() leaves out the first step and pauses', () => {
    const { now, tick } = clock();
    const meter = rateMeter(now);
    tick(5000);
    meter.step();
    expect(meter.msPerStep()).toBeNaN();
    tick(100);
    meter.step();
    tick(9000);
    meter.skip();
    tick(100);
    meter.step();
    expect(meter.msPerStep()).toBe(100);
  });

  it('rateMeter() follows a change of speed', () => {
    const { now, tick } = clock();
    const meter = rateMeter(now);
    for (let i = 0; i < 50; i++) { tick(100); meter.step(); }
    for (let i = 0; i < 50; i++) { tick(200); meter.step(); }
    expect(meter.msPerStep()).toBeGreaterThan(195);
  });
});

describe('progressLines', () => {
  it('counts evaluations among the time left', () => {
    const { now, tick } = clock();
    const lines: string[] = [];
    const progress = progressLines({ total: 100, start: 0, perStep: { count: 10, unit: 'tokens' }, evalEvery: 20, lines: 100, now }, (line) => lines.push(line));
    for (let step = 1; step <= 21; step++) {
      tick(1000);
      progress.step(step, 1);
      if (step === 20) {
        tick(10_000);
        progress.evaluated(step, 1);
      }
    }
    expect(lines.at(-3)).toContain('1m20s left'); // nothing is known of evaluations yet
    expect(lines.at(-1)).toContain('1m59s left'); // 79 steps, 4 evaluations
  });

  it('progressLines(2000 steps) writes about twenty lines with loss, tokens per second and time left', () => {
    const { now, tick } = clock();
    const lines: string[] = [];
    const progress = progressLines({ total: 2000, start: 0, perStep: { count: 768, unit: 'tokens' }, now }, (line) => lines.push(line));
    for (let step = 1; step <= 2000; step++) {
      tick(100);
      progress.step(step, 2.5);
    }
    expect(lines).toHaveLength(21);
    expect(lines[0]).toBe('step    1/2000  loss 2.500    -- tokens/s  -- left');
    expect(lines[10]).toBe('step 1000/2000  loss 2.500  7.7k tokens/s  1m40s left');
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(80);
  });

  it('progressLines({ lines: 0 }) writes what it is told to say, and nothing of steps', () => {
    const lines: string[] = [];
    const progress = progressLines({ total: 3, start: 0, perStep: { count: 1, unit: 'tokens' }, lines: 0 }, (line) => lines.push(line));
    for (let step = 1; step <= 3; step++) progress.step(step, 2);
    progress.say(['one', 'two']);
    expect(lines).toEqual(['one', 'two']);
  });

  it('progressLines({ perStep }) leaves out of the speed what paused() ends', () => {
    const { now, tick } = clock();
    const lines: string[] = [];
    const progress = progressLines({ total: 3, start: 0, perStep: { count: 1, unit: 'images' }, now }, (line) => lines.push(line));
    for (let step = 1; step <= 3; step++) {
      tick(100);
      progress.step(step, 2);
      tick(9000);
      progress.paused();
    }
    expect(lines[2]).toBe('step 3/3  loss 2.000    10 images/s  0s left');
  });

  it('progressLines says each validation loss', () => {
    const lines: string[] = [];
    progressLines({ total: 10, start: 0, perStep: { count: 1, unit: 'tokens' } }, (line) => lines.push(line)).evaluated(5, 1.98765);
    expect(lines).toEqual(['step  5/10  validation loss 1.988']);
  });
});

describe('progressBar', () => {
  it('progressBar draws share, step, losses, speed and time left in 79 columns', () => {
    const { now, tick } = clock();
    const stream = Object.assign(new PassThrough(), { isTTY: true, columns: 80, cursorTo() {}, clearLine() {} });
    const progress = progressBar({ total: 20000, start: 0, perStep: { count: 768, unit: 'tokens' }, now }, stream as unknown as NodeJS.WritableStream);
    progress.evaluated(0, 4.2);
    for (let step = 1; step <= 12345; step++) {
      tick(1000);
      progress.step(step, 10.123);
    }
    progress.say(['a finding', 'and more of it']);
    progress.stop();
    const drawn = (stream.read() as Buffer).toString();
    expect(drawn).toContain('\r\u001B[Ka finding\nand more of it\n');
    const last = drawn.slice(drawn.lastIndexOf('%') - 3).replaceAll('\n', '');
    expect(last).toContain('12345/20000  loss 10.123  val 4.200  768 tokens/s  2h07m');
    expect(last.replace(/\u001B\[[0-9;?]*[A-Za-z]/g, '').length).toBeLessThanOrEqual(79);
  });
});
