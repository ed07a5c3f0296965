import { UnsupportedError } from '@evenkeel/core-tensor';
import { resting } from './resting.ts';

/** ProgramTime — what the device spent in a program since the profile began: milliseconds, and how often it was launched. */
export type ProgramTime = { readonly name: string; readonly ms: number; readonly launches: number };

/** Profile — `stop` ends the measurement and gives the times, the longest first; called again, it gives the same. */
export type Profile = { readonly stop: () => Promise<ProgramTime[]> };

/** Launches of one query set: two timestamps each, of the 4096 that a set may have. */
const BLOCK = 2048;
const BYTES = 8; // of a timestamp

type Block = { readonly names: string[]; readonly queries: GPUQuerySet };

/**
 * Profiler — takes the time of each compute pass with two timestamps of the device and sums them up by the pass' name.
 *
 * Every `BLOCK` passes, or once more of them that are handed over together, the timestamps are copied to a buffer of their own, which is read while the device works on. Browsers, and Dawn
 * unless its toggle `timestamp_quantization` is disabled, round timestamps to multiples of 65.536 µs, so that nobody can tell secrets
 * from times: what is shorter counts as nothing or as a whole unit, and only the sum over many launches means something.
 */
export class Profiler {
  readonly #device: GPUDevice;
  readonly #submitWith: (record: (encoder: GPUCommandEncoder) => void) => void;
  readonly #totals = new Map<string, { ms: number; launches: number }>();
  readonly #readings: Promise<void>[] = [];
  readonly #check: () => void;
  /** Those whose timestamps are not copied yet: all full but the last. */
  #blocks: Block[] = [];

  /**
   * @param submitWith  adds commands to those recorded so far, and hands all of them to the device.
   * @param check       throws what went wrong on the device, if anything.
   */
  constructor(device: GPUDevice, submitWith: (record: (encoder: GPUCommandEncoder) => void) => void, check: () => void) {
    if (!device.features.has('timestamp-query')) {
      throw new UnsupportedError('profile: the device must have the feature timestamp-query, got one without it');
    }
    this.#device = device;
    this.#submitWith = submitWith;
    this.#check = check;
  }

  /** pass — the descriptor of the next pass, which is to hold one launch of the program of that name. */
  pass(name: string): GPUComputePassDescriptor {
    if ((this.#blocks.at(-1)?.names.length ?? BLOCK) === BLOCK) this.#blocks.push({ names: [], queries: this.#device.createQuerySet({ type: 'timestamp', count: 2 * BLOCK }) });
    const { names, queries } = this.#blocks.at(-1) as Block;
    const launch = names.push(name) - 1;
    return { label: name, timestampWrites: { querySet: queries, beginningOfPassWriteIndex: 2 * launch, endOfPassWriteIndex: 2 * launch + 1 } };
  }

  /** makeRoom — to be called before the commands with the next `count` passes are begun; there may be more of them than a set has room for. */
  makeRoom(count: number): void {
    if ((this.#blocks.at(-1)?.names.length ?? 0) + count > BLOCK) this.#close();
  }

  /** launched — to be called when the pass holds its launch. */
  launched(): void {
    this.makeRoom(1);
  }

  /** profile — the handle for whoever asked for the times; `onStop` is called once, when no pass is to be timed any more. */
  profile(onStop: () => void): Profile {
    let times: Promise<ProgramTime[]> | undefined;
    const stop = async (): Promise<ProgramTime[]> => {
      onStop();
      this.#close();
      return this.#times();
    };
    return { stop: () => times ??= stop() };
  }

  /** Has the timestamps so far copied to where they can be read, and reads them. */
  #close(): void {
    const blocks = this.#blocks;
    this.#blocks = [];
    for (const block of blocks) this.#copy(block);
  }

  #copy({ names, queries }: Block): void {
    const size = 2 * names.length * BYTES;
    const resolved = this.#device.createBuffer({ label: 'profile', size, usage: GPUBufferUsage.QUERY_RESOLVE | GPUBufferUsage.COPY_SRC });
    const staging = this.#device.createBuffer({ label: 'profile', size, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST });
    this.#submitWith((encoder) => {
      encoder.resolveQuerySet(queries, 0, 2 * names.length, resolved, 0);
      encoder.copyBufferToBuffer(resolved, 0, staging, 0, size);
    });
    const reading = this.#read(names, staging).finally(() => [queries, resolved, staging].forEach((each) => each.destroy()));
    reading.catch(() => {}); // `stop` throws it
    this.#readings.push(reading);
  }

  async #read(names: readonly string[], staging: GPUBuffer): Promise<void> {
    await resting(staging.mapAsync(GPUMapMode.READ));
    const stamps = new BigUint64Array(staging.getMappedRange()); // nanoseconds
    names.forEach((name, i) => {
      const ms = Number((stamps[2 * i + 1] as bigint) - (stamps[2 * i] as bigint)) / 1e6;
      const total = this.#totals.get(name) ?? { ms: 0, launches: 0 };
      // A clock may start anew between the two (WebGPU allows it): that pass counts as nothing.
      this.#totals.set(name, { ms: total.ms + Math.max(0, ms), launches: total.launches + 1 });
    });
  }

  async #times(): Promise<ProgramTime[]> {
    try {
      await Promise.all(this.#readings);
    } catch (error) {
      await new Promise((resolve) => setTimeout(resolve)); // the event that tells the cause may be on its way
      this.#check();
      throw new UnsupportedError(`profile: the times must be readable, got ${error instanceof Error ? `${error.name} ${error.message}`.trim() : String(error)}`);
    }
    return [...this.#totals].map(([name, total]) => ({ name, ...total })).sort((a, b) => b.ms - a.ms);
  }
}
