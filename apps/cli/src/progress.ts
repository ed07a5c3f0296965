import { SingleBar } from 'cli-progress';
import { formatDuration, formatShort } from './format.ts';

export type ProgressOptions = {
  /** Steps in all. */
  readonly total: number;
  /** Steps done before this process began. */
  readonly start: number;
  readonly tokensPerStep: number;
  /** About how many lines are written where there is no bar; default 20. */
  readonly lines?: number;
  /** Milliseconds on a clock that only goes forward; for tests. */
  readonly now?: () => number;
};

/** Progress — told after each step; `evaluated` after each evaluation; `say` prints lines meanwhile; `stop` before anything else is printed. */
export type Progress = {
  say(lines: readonly string[]): void;
  step(step: number, loss: number): void;
  evaluated(step: number, valLoss: number): void;
  stop(): void;
};

/** RateMeter — the time of a step, averaged over the newest ones, so that the rate follows the machine's load. */
export type RateMeter = { step(): void; skip(): void; msPerStep(): number };

/** rateMeter — `step` after each step, `skip` after a pause that is no step. The first step, which compiles, is not counted. */
export function rateMeter(now: () => number = () => performance.now()): RateMeter {
  let last = now();
  let count = -1;
  let average = NaN;
  return {
    step() {
      const elapsed = now() - last;
      last += elapsed;
      count++;
      if (count > 0) average = count === 1 ? elapsed : average + (elapsed - average) * Math.max(0.1, 1 / count);
    },
    skip() {
      last = now();
    },
    msPerStep: () => average,
  };
}

type Shown = { loss: string; val: string; rate: string; left: string };

function tracker({ total, tokensPerStep, now }: ProgressOptions) {
  const meter = rateMeter(now);
  const shown: Shown = { loss: '--', val: '--', rate: '--', left: '--' };
  return {
    shown,
    step(step: number, loss: number): void {
      meter.step();
      const known = !Number.isNaN(meter.msPerStep());
      shown.loss = loss.toFixed(3);
      shown.rate = known ? formatShort((1000 * tokensPerStep) / meter.msPerStep()) : '--';
      shown.left = formatDuration(((total - step) * meter.msPerStep()) / 1000);
    },
    evaluated(valLoss: number): void {
      meter.skip();
      shown.val = valLoss.toFixed(3);
    },
  };
}

/** At most 79 columns for runs of up to 99,999 steps; longer ones are cut at the edge of the terminal. */
const FORMAT = '{percentage}% {bar} {value}/{total}  loss {loss}  val {val}  {rate} tok/s  {left}';

/** progressBar — one line that redraws itself: share done, step, loss, validation loss, tokens per second, time left. */
export function progressBar(options: ProgressOptions, stream: NodeJS.WritableStream): Progress {
  const { shown, ...track } = tracker(options);
  const bar = new SingleBar({
    stream, format: FORMAT, fps: 8, hideCursor: true, linewrap: false, barsize: 14, autopadding: true, gracefulExit: false,
    barCompleteChar: '█', barIncompleteChar: '·',
  });
  bar.start(options.total, options.start, shown);
  return {
    step(step, loss) {
      track.step(step, loss);
      bar.update(step, shown);
    },
    evaluated(_step, valLoss) {
      track.evaluated(valLoss);
      bar.update(shown);
    },
    say: (lines) => void stream.write(`\r\u001B[K${lines.join('\n')}\n`), // the next drawing of the bar is below them
    stop: () => bar.stop(),
  };
}

const LINES = 20;

/** progressLines — about twenty lines in all (or `lines`), and one for each evaluation, for logs and pipes. */
export function progressLines(options: ProgressOptions, write: (line: string) => void): Progress {
  const { shown, ...track } = tracker(options);
  const { total, start, lines = LINES } = options;
  const every = Math.max(1, Math.ceil((total - start) / lines));
  const width = String(total).length;
  const place = (step: number): string => `step ${String(step).padStart(width)}/${total}`;
  return {
    step(step, loss) {
      track.step(step, loss);
      if (lines === 0) return;
      if (step % every !== 0 && step !== total && step !== start + 1) return;
      write(`${place(step)}  loss ${shown.loss}  ${shown.rate.padStart(4)} tokens/s  ${shown.left} left`);
    },
    evaluated(step, valLoss) {
      track.evaluated(valLoss);
      write(`${place(step)}  validation loss ${shown.val}`);
    },
    say: (lines) => lines.forEach(write),
    stop() {},
  };
}
