import { SingleBar } from 'cli-progress';
import { formatDuration, formatShort } from './format.ts';

/** Unit — what the speed of a run is counted in. */
export type Unit = 'tokens' | 'images' | 'sequences';

export type ProgressOptions = {
  /** Steps in all. */
  readonly total: number;
  /** Steps done before this process began. */
  readonly start: number;
  readonly perStep: { readonly count: number; readonly unit: Unit };
  /** Steps from one evaluation to the next, where there are any: they take time, too. */
  readonly evalEvery?: number;
  /** About how many lines are written where there is no bar; default 20. */
  readonly lines?: number;
  /** Milliseconds on a clock that only goes forward; for tests. */
  readonly now?: () => number;
};

/** What an evaluation measured besides the loss, by name; shares of 1. */
type Measures = Readonly<Record<string, number>>;

/** Progress — told after each step; `evaluated` after each evaluation; `paused` after anything else that is no step; `say` prints lines meanwhile; `stop` before anything else is printed. */
export type Progress = {
  say(lines: readonly string[]): void;
  step(step: number, loss: number): void;
  evaluated(step: number, valLoss: number, values?: Measures): void;
  paused(): void;
  stop(): void;
};

/** RateMeter — the time of a step, averaged over the newest ones, so that the rate follows the machine's load. */
export type RateMeter = { step(): void; skip(): number; msPerStep(): number };

/** rateMeter — `step` after each step, `skip` after a pause that is no step, of which it gives the milliseconds. The first step, which compiles, is not counted. */
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
      const elapsed = now() - last;
      last += elapsed;
      return elapsed;
    },
    msPerStep: () => average,
  };
}

type Shown = { loss: string; val: string; rate: string; left: string; unit: string };

function tracker({ total, perStep: { count, unit }, evalEvery = Infinity, now }: ProgressOptions) {
  const meter = rateMeter(now);
  let evalMs = 0;
  const msLeft = (step: number): number => (total - step) * meter.msPerStep() + Math.ceil((total - step) / evalEvery) * evalMs;
  const shown: Shown = { loss: '--', val: '--', rate: '--', left: '--', unit };
  return {
    shown,
    step(step: number, loss: number): void {
      meter.step();
      const known = !Number.isNaN(meter.msPerStep());
      shown.loss = loss.toFixed(3);
      shown.rate = known ? formatShort((1000 * count) / meter.msPerStep()) : '--';
      shown.left = formatDuration(msLeft(step) / 1000);
    },
    paused: () => void meter.skip(),
    evaluated(valLoss: number, values: Measures = {}): void {
      evalMs = meter.skip();
      const [first] = Object.values(values);
      shown.val = first === undefined ? valLoss.toFixed(3) : `${valLoss.toFixed(3)} ${(100 * first).toFixed(1)}%`;
    },
  };
}

/** At most 79 columns for runs of up to 99,999 steps, six more where an evaluation measures a share; longer ones are cut at the edge of the terminal. */
const FORMAT = '{percentage}% {bar} {value}/{total}  loss {loss}  val {val}  {rate} {unit}/s  {left}';

/** progressBar — one line that redraws itself: share done, step, loss, validation loss, tokens per second, time left. */
export function progressBar(options: ProgressOptions, stream: NodeJS.WritableStream): Progress {
  const { shown, ...track } = tracker(options);
  const bar = new SingleBar({
    stream, format: FORMAT, fps: 8, hideCursor: true, linewrap: false, barsize: 8, autopadding: true, gracefulExit: false,
    barCompleteChar: '█', barIncompleteChar: '·',
  });
  bar.start(options.total, options.start, shown);
  return {
    step(step, loss) {
      track.step(step, loss);
      bar.update(step, shown);
    },
    evaluated(_step, valLoss, values) {
      track.evaluated(valLoss, values);
      bar.update(shown);
    },
    paused: track.paused,
    say: (lines) => void stream.write(`\r\u001B[K${lines.join('\n')}\n`), // the next drawing of the bar is below them
    stop: () => bar.stop(),
  };
}

const LINES = 20;

/** progressLines — about twenty lines in all (or `lines`), and one for each evaluation, for logs and pipes. */
export function progressLines(options: ProgressOptions, write: (line: string) => void): Progress {
  const { shown, ...track } = tracker(options);
  const { total, start, lines = LINES, perStep: { unit } } = options;
  const every = Math.max(1, Math.ceil((total - start) / lines));
  const width = String(total).length;
  const place = (step: number): string => `step ${String(step).padStart(width)}/${total}`;
  return {
    step(step, loss) {
      track.step(step, loss);
      if (lines === 0) return;
      if (step % every !== 0 && step !== total && step !== start + 1) return;
      write(`${place(step)}  loss ${shown.loss}  ${shown.rate.padStart(4)} ${unit}/s  ${shown.left} left`);
    },
    evaluated(step, valLoss, values = {}) {
      track.evaluated(valLoss, values);
      const more = Object.entries(values).map(([name, value]) => `, ${name} ${value.toFixed(4)}`);
      write(`${place(step)}  validation loss ${valLoss.toFixed(3)}${more.join('')}`);
    },
    paused: track.paused,
    say: (lines) => lines.forEach(write),
    stop() {},
  };
}
