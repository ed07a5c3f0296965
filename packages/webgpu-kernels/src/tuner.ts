import { ConfigError, ShapeError, UnsupportedError, type GpuChoice, type KernelChoices, type KernelTuning, type TunedClass, type TuneOptions } from '@evenkeel/core-tensor';
import { resting } from './resting.ts';

/** Tuning — `off`: rules of thumb alone; `auto`: what tuning found on this adapter; or a way by its name, per family. */
export type Tuning = 'off' | 'auto' | Readonly<Record<string, string>>;

export type TunerParts = {
  readonly tuning: Tuning;
  /** Winners by class, from earlier processes on this adapter. */
  readonly remembered: KernelChoices;
  /** Keeps winners for later processes. It never rejects. */
  readonly save: (winners: Readonly<Record<string, string>>) => Promise<void>;
  /** Runs `f` `repeats` times on the idle device: milliseconds until the device has finished. */
  readonly time: (f: () => void, repeats: number) => Promise<number>;
};

/** Tuner — chooses between ways to compute the same; generic: any kernel may ask it through `GpuBackend.choose`. */
export type Tuner = KernelTuning & {
  choose(choice: GpuChoice): string;
  /** How often answers may have changed: what was recorded by others is out of date. */
  changes(): number;
};

/** Each candidate is timed in this many rounds of about this many milliseconds, and the shortest counts. */
const ROUNDS = 5;
const ROUND_MS = 4;
const MAX_REPEATS = 256;

/** What a kernel throws where it cannot: anything else is a mistake in it. */
const REFUSALS = [ConfigError, ShapeError, UnsupportedError] as const;

/** Candidates that take more than this many times the shortest are out after one round. */
const HOPELESS = 2;

/**
 * createTuner — remembers choices and times candidates.
 *
 * `choose` never waits and never times: a kernel call is synchronous. What it answers for a class once, it answers until `tune` is
 * called, so that a captured step and an eager one take the same way. A way that cannot compute a call, though it won in its class, is
 * replaced by the call's own first candidate: still a function of the call alone. A candidate whose trial is refused is out, and a
 * class without others keeps to its first; an error of the device ends tuning.
 */
export function createTuner({ tuning, remembered, save, time }: TunerParts): Tuner {
  const { adapter } = remembered;
  let winners = new Map(Object.entries(remembered.winners));
  /** Classes that were asked for and have no winner: the first candidate is taken. */
  const seen = new Map<string, GpuChoice>();
  /** Classes of which no candidate can be timed. */
  const untimed = new Set<string>();
  let changes = 0;

  const choose = (choice: GpuChoice): string => {
    const { family, candidates } = choice;
    const [first] = candidates;
    if (first === undefined) throw new Error(`choose: candidates of ${family} must have one at least, got none`);
    if (tuning === 'off') return first;
    if (tuning !== 'auto') return candidates.find((name) => name === tuning[family]) ?? first;
    const id = classId(choice);
    const winner = winners.get(id);
    if (winner === undefined && !seen.has(id) && !untimed.has(id)) seen.set(id, choice);
    return candidates.find((name) => name === winner) ?? first;
  };

  const tune = async ({ onTuned, signal }: TuneOptions = {}): Promise<readonly TunedClass[]> => {
    if (tuning !== 'auto') throw new ConfigError(`tune: tuning of the device must be 'auto', got ${JSON.stringify(tuning)}; open it with webgpu({ tuning: 'auto' })`);
    const tuned: TunedClass[] = [];
    for (const [id, { candidates, trial }] of [...seen]) {
      if (signal?.aborted === true) break;
      seen.delete(id);
      const milliseconds = await timeAll(candidates, trial, time);
      const [some, ...others] = Object.keys(milliseconds);
      if (some === undefined) {
        untimed.add(id);
        continue;
      }
      const winner = others.reduce((best, name) => ((milliseconds[name] as number) < (milliseconds[best] as number) ? name : best), some);
      winners.set(id, winner);
      changes += 1;
      const found = { class: id, winner, milliseconds };
      tuned.push(found);
      await save({ [id]: winner });
      onTuned?.(found, seen.size);
    }
    return tuned;
  };

  return {
    choose,
    tune,
    choices: () => ({ adapter, winners: Object.fromEntries(winners) }),
    restore: (choices) => {
      if (choices.adapter !== adapter) return;
      winners = new Map(Object.entries(choices.winners));
      for (const id of winners.keys()) seen.delete(id);
      changes += 1;
    },
    changes: () => changes,
  };
}

const classId = ({ family, version, key }: GpuChoice): string => `${family}@${version} ${key}`;

/** Candidates in turn, so that what else the machine does meets all of them; without those whose trial is refused, such as for its size. */
async function timeAll(candidates: readonly string[], trial: GpuChoice['trial'], time: TunerParts['time']): Promise<Record<string, number>> {
  const shortest: Record<string, number> = {};
  const repeats: Record<string, number> = {};
  const timed = (name: string, count: number): Promise<number> => time(() => trial(name), count).catch(async (error: unknown) => {
    if (!REFUSALS.some((Refusal) => error instanceof Refusal)) throw error;
    await time(() => {}, 0); // throws if it is the device that has failed
    return Infinity;
  });
  for (const name of candidates) {
    await timed(name, 1); // compiles
    const once = await timed(name, 1);
    if (once < Infinity) repeats[name] = Math.max(1, Math.min(MAX_REPEATS, Math.ceil(ROUND_MS / Math.max(once, 1e-3))));
  }
  let running = candidates.filter((name) => name in repeats);
  for (let round = 0; round < ROUNDS; round++) {
    for (const name of running) {
      const count = repeats[name] as number;
      shortest[name] = Math.min(shortest[name] ?? Infinity, await timed(name, count) / count);
    }
    const best = Math.min(...Object.values(shortest));
    running = running.filter((name) => (shortest[name] as number) <= HOPELESS * best);
  }
  return Object.fromEntries(Object.entries(shortest).filter(([, milliseconds]) => milliseconds < Infinity));
}

type Timed = { readonly queue: GPUQueue; flush(): void; kernelCall<R>(name: string, f: () => R): R; during(name: string, f: () => void): void };

/** wallClock — ms of `repeats` runs of `f`, until the device says that it is done. */
export async function wallClock(device: Timed, f: () => void, repeats: number): Promise<number> {
  device.flush();
  await resting(device.queue.onSubmittedWorkDone());
  const start = performance.now();
  for (let i = 0; i < repeats; i++) device.kernelCall('tune', f);
  device.flush();
  await resting(device.queue.onSubmittedWorkDone());
  device.during('tune', () => {}); // errors of the device are thrown
  return performance.now() - start;
}
