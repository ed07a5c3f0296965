import type { Pipelines } from '../pipelines.ts';
import type { Profiler } from '../profiler.ts';
import { bindGroupOf, uniformRoom } from '../uniforms.ts';
import { gateProgram } from './programs.ts';
import type { Gate, Launch, LiveWord, Trace } from './trace.ts';

/** Launches that are handed to the device at once, at least; a step is handed over in at most this many parts. */
const SMALLEST_PART = 64;
const MOST_PARTS = 8;

/** Ready — a launch as the device takes it. */
type Ready = {
  readonly name: string;
  readonly pipeline: GPUComputePipeline;
  readonly group: GPUBindGroup;
  readonly x: number; readonly y: number; readonly z: number;
  readonly indirect: { readonly buffer: GPUBuffer; readonly offset: number } | undefined;
};

export type Copy = { readonly from: GPUBuffer; readonly to: GPUBuffer; readonly bytes: number };

/** Replay — a traced step, made ready to run again: all uniforms in one buffer, all bind groups made. */
export class Replay {
  readonly #device: GPUDevice;
  readonly #trace: Trace;
  readonly #launches: readonly Ready[];
  readonly #words: ArrayBuffer;
  readonly #floats: Float32Array<ArrayBuffer>;
  readonly #integers: Int32Array<ArrayBuffer>;
  readonly #live: readonly LiveWord[];
  readonly #liveBytes: number;
  readonly #uniforms: GPUBuffer;
  readonly #own: GPUBuffer[] = [];

  constructor(device: GPUDevice, pipelines: Pipelines, trace: Trace) {
    this.#device = device;
    this.#trace = trace;
    const { offsets, bytes, liveBytes } = laidOut(trace.launches);
    this.#liveBytes = liveBytes;
    this.#words = new ArrayBuffer(uniformRoom(bytes));
    this.#floats = new Float32Array(this.#words);
    this.#integers = new Int32Array(this.#words);
    trace.launches.forEach(({ uniforms }, i) => new Uint8Array(this.#words, offsets[i]).set(uniforms));
    this.#live = trace.launches.flatMap(({ live }, i) => live.map((each) => ({ ...each, word: each.word + (offsets[i] as number) / 4 })));
    this.#uniforms = this.#make(this.#words.byteLength, GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST, this.#integers);
    this.#launches = this.#ready(pipelines, offsets);
  }

  get launches(): number {
    return this.#trace.launches.length;
  }

  /** renew — numbers and JavaScript's state of the next run. */
  renew(): void {
    for (const action of this.#trace.actions) {
      if (typeof action === 'function') action();
      else action.renew();
    }
    for (const { word, type, number } of this.#live) (type === 'f32' ? this.#floats : this.#integers)[word] = number.read();
    if (this.#liveBytes > 0) this.#device.queue.writeBuffer(this.#uniforms, 0, this.#words, 0, this.#liveBytes);
  }

  /** run — all launches, between copies into the step's inputs and copies of its results; `profiler` gets a pass for each launch. */
  run(before: readonly Copy[], after: readonly Copy[], profiler?: Profiler): void {
    const launches = this.#launches;
    const part = Math.max(SMALLEST_PART, Math.ceil(launches.length / MOST_PARTS));
    for (let start = 0; start === 0 || start < launches.length; start += part) {
      const end = Math.min(start + part, launches.length);
      profiler?.makeRoom(end - start);
      const encoder = this.#device.createCommandEncoder();
      if (start === 0) copyAll(encoder, before);
      let pass = profiler === undefined ? encoder.beginComputePass() : undefined;
      for (let i = start; i < end; i++) {
        const ready = launches[i] as Ready;
        if (profiler !== undefined) {
          pass?.end();
          pass = encoder.beginComputePass(profiler.pass(ready.name));
        }
        launch(pass as GPUComputePassEncoder, ready, profiler === undefined && i > start ? launches[i - 1]?.pipeline : undefined);
      }
      pass?.end();
      if (end === launches.length) copyAll(encoder, after);
      this.#device.queue.submit([encoder.finish()]);
    }
  }

  dispose(): void {
    for (const buffer of this.#own) buffer.destroy();
  }

  #ready(pipelines: Pipelines, offsets: readonly number[]): Ready[] {
    const { launches, gates } = this.#trace;
    const used = new Set(launches.map(({ gate }) => gate));
    const opened = new Map<Gate, { readonly sizes: GPUBuffer; next: number }>();
    return launches.flatMap((launch, i) => {
      const { name, pipeline, layout, bound, uniforms, groups: [x, y, z], gate } = launch;
      const openings = gates.filter((each) => each.before === i && used.has(each)).map((each) => {
        const [opening, sizes] = this.#openGate(pipelines, each);
        opened.set(each, { sizes, next: 0 });
        return opening;
      });
      const group = bindGroupOf(this.#device, layout, bound, { buffer: this.#uniforms, offset: offsets[i] as number, bytes: uniforms.length });
      const own = gate && opened.get(gate);
      return [...openings, { name, pipeline, group, x, y, z, indirect: own && { buffer: own.sizes, offset: 12 * own.next++ } }];
    });
  }

  /** The launch that decides about all behind the gate, and where it writes their sizes. */
  #openGate(pipelines: Pipelines, gate: Gate): [Ready, GPUBuffer] {
    const guarded = this.#trace.launches.filter((each) => each.gate === gate);
    const countsIf = (isOpen: boolean): number[] => guarded.flatMap(({ groups, isOtherwise }) => (isOpen === isOtherwise ? [0, 0, 0] : groups));
    const counts = Uint32Array.from([...countsIf(true), ...countsIf(false)]);
    const given = this.#make(counts.byteLength, GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST, counts);
    const sizes = this.#make(counts.byteLength / 2, GPUBufferUsage.STORAGE | GPUBufferUsage.INDIRECT);
    const { pipeline, layout } = pipelines.get(gateProgram(gate.values.length));
    const group = bindGroupOf(this.#device, layout, [...gate.values.map(({ buffer }) => buffer), given, sizes].map((buffer) => ({ buffer })), { buffer: this.#uniforms, offset: 0, bytes: 0 });
    return [{ name: 'gate', pipeline, group, x: Math.ceil(counts.length / 2 / 64), y: 1, z: 1, indirect: undefined }, sizes];
  }

  #make(size: number, usage: number, words?: Int32Array<ArrayBuffer> | Uint32Array<ArrayBuffer>): GPUBuffer {
    const buffer = this.#device.createBuffer({ label: 'captured step', size, usage });
    if (words !== undefined) this.#device.queue.writeBuffer(buffer, 0, words);
    this.#own.push(buffer);
    return buffer;
  }
}

/** copyAll — records copies. */
export function copyAll(encoder: GPUCommandEncoder, copies: readonly Copy[]): void {
  for (const { from, to, bytes } of copies) encoder.copyBufferToBuffer(from, 0, to, 0, bytes);
}

/** Where each launch's uniforms stand: those with numbers that change first, so that these are written anew in one piece. */
function laidOut(launches: readonly Launch[]): { offsets: readonly number[]; bytes: number; liveBytes: number } {
  const offsets: number[] = [];
  let bytes = 0;
  const place = (isLive: boolean): number => {
    launches.forEach(({ live, uniforms }, i) => {
      if (live.length > 0 !== isLive) return;
      offsets[i] = bytes;
      bytes += uniformRoom(uniforms.length);
    });
    return bytes;
  };
  const liveBytes = place(true);
  return { offsets, bytes: place(false), liveBytes };
}

/** `current` is the pipeline that the pass has already. */
function launch(pass: GPUComputePassEncoder, { pipeline, group, x, y, z, indirect }: Ready, current: GPUComputePipeline | undefined): void {
  if (pipeline !== current) pass.setPipeline(pipeline);
  pass.setBindGroup(0, group);
  if (indirect !== undefined) pass.dispatchWorkgroupsIndirect(indirect.buffer, indirect.offset);
  else if (y === 1 && z === 1) pass.dispatchWorkgroups(x);
  else pass.dispatchWorkgroups(x, y, z);
}
