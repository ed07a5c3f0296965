import { StepNumber, type GpuProgram, type StepRecorder } from '@evenkeel/core-tensor';
import { engine, type DataId, type Tensor, type TensorInfo, type Variable } from '@tensorflow/tfjs-core';
import type { Arena } from '../bufferPool.ts';
import type { BindLayout } from '../pipelines.ts';

/** Launch — one dispatch of a step, with everything that a replay needs. */
export type Launch = {
  readonly name: string;
  readonly pipeline: GPUComputePipeline;
  readonly layout: BindLayout;
  readonly bound: readonly GPUBufferBinding[];
  readonly writes: readonly GPUBuffer[];
  readonly uniforms: Uint8Array;
  readonly live: readonly LiveWord[];
  readonly groups: readonly [x: number, y: number, z: number];
  /** The gate that it stands behind; `isOtherwise`: it happens if that is closed, and not if it is open. */
  readonly gate: Gate | undefined;
  readonly isOtherwise: boolean;
};

/** LiveWord — where in the uniforms a StepNumber stands. */
export type LiveWord = { readonly word: number; readonly type: GpuProgram['uniforms'][number]['type']; readonly number: StepNumber };

/** Instance — a buffer, and how many had been acquired when it was: tells what lies in it from what lay in it before. */
export type Instance = { readonly buffer: GPUBuffer; readonly acquired: number };

/** Gate — scalars that must be finite, before that launch, for what stands behind it to happen. */
export type Gate = { readonly values: readonly Instance[]; readonly before: number; readonly onRefusal: 'run' | 'skip' };

/** TraceHost — what a trace needs of the backend. */
export type TraceHost = {
  /** Where a tensor's values lie on the device; they are brought there. */
  readonly instanceOf: (tensor: TensorInfo) => Instance;
  readonly acquired: (buffer: GPUBuffer) => number;
  readonly behindGate: (gate: Gate, call: { readonly f: () => void; readonly isDropped: () => boolean }) => void;
  /** Carries out what was launched so far; the rest of the step runs eagerly. */
  readonly giveUp: () => void;
};

/** Constant — values that came from the CPU in the middle of the step. */
export type Constant = Instance & { readonly hash: string; readonly text: string };

/**
 * Trace — a step as it was recorded: its launches are collected, not run; buffers are real, and reused within the step in the
 * order of the launches. What makes a replay impossible is kept as the reason for refusing.
 */
export class Trace implements StepRecorder {
  readonly launches: Launch[] = [];
  /** What each launch was given. */
  readonly instances: (readonly Instance[])[] = [];
  readonly constants: Constant[] = [];
  readonly gates: Gate[] = [];
  /** Numbers to renew and effects to repeat, in order. */
  readonly actions: (StepNumber | (() => void))[] = [];
  /** Tensors that were there before the step, with their buffers. */
  readonly outside = new Map<DataId, GPUBuffer>();
  /** What came out. */
  readonly results: Instance[] = [];
  /** Where the constants' buffers come from: none is used twice. */
  readonly constantArena: Arena = new Map();
  /** Buffers that count as made within the step were acquired after this many others. */
  readonly begin: number;
  readonly #host: TraceHost;
  #gate: Gate | undefined;
  #refusal: string | undefined;

  constructor(begin: number, host: TraceHost) {
    this.begin = begin;
    this.#host = host;
  }

  get refusal(): string | undefined {
    return this.#refusal;
  }

  /** The gate behind which launches stand now. */
  get gateNow(): Gate | undefined {
    return this.#gate;
  }

  add(launch: Launch): void {
    this.launches.push(launch); // first: if the step is refused now, what was added is carried out
    this.instances.push(launch.bound.map(({ buffer }) => ({ buffer, acquired: this.#host.acquired(buffer) })));
    if (launch.live.some(({ number }) => !this.actions.includes(number))) this.refuse(`${launch.name} was told a number that no replay would compute anew`);
    const written = this.constants.find(({ buffer }) => launch.writes.includes(buffer));
    if (written !== undefined) this.refuse(`${launch.name} writes over values that came from the CPU (${written.text})`);
  }

  refuse(reason: string): void {
    if (this.#refusal !== undefined) return;
    this.#refusal = reason;
    if (this.#gate?.onRefusal === 'skip') return; // what stands behind it goes on being collected, and is dropped at its end
    if (this.#gate !== undefined) { // nothing is checked any more
      this.launches.forEach((launch, i) => { if (launch.gate === this.#gate) this.launches[i] = { ...launch, gate: undefined }; });
      this.#gate = undefined;
    }
    this.#host.giveUp();
  }

  number(compute: () => number): StepNumber {
    const number = new StepNumber(compute);
    this.actions.push(number);
    return number;
  }

  effect(run: () => void): void {
    this.actions.push(run);
  }

  gate(values: readonly Tensor[], f: () => void, onRefusal: 'run' | 'skip'): boolean {
    if (this.#gate !== undefined) this.refuse('ifFinite stands within another ifFinite');
    if (this.#refusal !== undefined) {
      if (onRefusal === 'run') f();
      return onRefusal === 'run';
    }
    const gate = this.#gate = { values: values.map(this.#host.instanceOf), before: this.launches.length, onRefusal };
    this.gates.push(gate);
    const isDropped = (): boolean => this.#refusal !== undefined && onRefusal === 'skip';
    try {
      this.#host.behindGate(gate, { f, isDropped });
    } finally {
      this.#gate = undefined;
      if (isDropped()) {
        this.launches.length = this.instances.length = gate.before;
        this.#host.giveUp();
      }
    }
    return !isDropped();
  }
}

/** variablesNow — all variables, and where their values are. */
export const variablesNow = (): Map<Variable, DataId> => new Map(Object.values(engine().state.registeredVariables).map((variable) => [variable, variable.dataId]));

/** difference — what tells two traces of one step apart, or undefined if a replay of either does the same. */
export function difference(a: Trace, b: Trace): string | undefined {
  const pairs = new Pairs(a, b);
  a.constants.forEach((constant, i) => pairs.match(constant, b.constants[i]));
  for (const [i, launch] of a.launches.entries()) {
    const { name } = launch;
    const other = b.launches[i];
    if (other === undefined) return `${name} was launched in one run and not in the next`;
    if (launch.pipeline !== other.pipeline) return `${name} was launched in one run where the next launched ${other.name === name ? 'it for other shapes or options' : other.name}`;
    if (launch.groups.join() !== other.groups.join() || launch.bound.some(({ size }, place) => size !== other.bound[place]?.size)) return `the size of ${name} changed from one run to the next`;
    if (a.gates.indexOf(launch.gate as Gate) !== b.gates.indexOf(other.gate as Gate) || launch.isOtherwise !== other.isOtherwise) return `${name} stood behind ifFinite in one run and not in the next`;
    const word = changedWord(launch, other);
    if (word !== undefined) return `a number that ${name} was told (uniform ${word}) changed from one run to the next`;
    if (launch.live.some((each, place) => !isSameNumber([each, other.live[place]], [a, b]))) return `${name} was told one number of the step in one run and another in the next`;
    const place = launch.bound.findIndex((_, at) => !pairs.match(a.instances[i]?.[at], b.instances[i]?.[at]));
    if (place >= 0) return `${name} was given one tensor in one run and another in the next`;
  }
  const more = b.launches[a.launches.length];
  if (more !== undefined) return `${more.name} was launched in one run and not in the one before`;
  if (a.actions.map((each) => typeof each).join() !== b.actions.map((each) => typeof each).join()) return 'numbers or effects were announced in one run and not in the next';
  const hasOther = (x: readonly Instance[] = [], y: readonly Instance[] = []): boolean => x.length !== y.length || x.some((instance, i) => !pairs.match(instance, y[i]));
  if (a.gates.some(({ values, before }, i) => before !== b.gates[i]?.before || hasOther(values, b.gates[i]?.values))) return 'ifFinite stood elsewhere in one run than in the next';
  if (hasOther(a.results, b.results)) return 'one tensor was returned in one run and another in the next';
  const changed = b.constants.find(({ hash }, i) => hash !== a.constants[i]?.hash);
  if (changed === undefined) return a.constants.length === b.constants.length ? undefined : 'more values came from the CPU in one run than in the next';
  const reader = b.launches.find(({ bound }) => bound.some(({ buffer }) => buffer === changed.buffer));
  return `values from the CPU (${changed.text}${reader === undefined ? '' : `, read by ${reader.name}`}) changed from one run to the next`;
}

/** Pairs — which instance of a buffer in one trace is which in the other; those from outside the step are the same in both. */
class Pairs {
  readonly #toB = new Map<number, number>();
  readonly #toA = new Map<number, number>();
  readonly #begins: readonly [number, number];

  constructor(a: Trace, b: Trace) {
    this.#begins = [a.begin, b.begin];
  }

  match(a: Instance | undefined, b: Instance | undefined): boolean {
    if (a === undefined || b === undefined) return a === b;
    if (a.acquired <= this.#begins[0] || b.acquired <= this.#begins[1]) return a.buffer === b.buffer;
    if (!this.#toB.has(a.acquired) && !this.#toA.has(b.acquired)) {
      this.#toB.set(a.acquired, b.acquired);
      this.#toA.set(b.acquired, a.acquired);
    }
    return this.#toB.get(a.acquired) === b.acquired && this.#toA.get(b.acquired) === a.acquired;
  }
}

const isSameNumber = ([a, b]: readonly [LiveWord, LiveWord | undefined], [ofA, ofB]: readonly [Trace, Trace]): boolean =>
  b !== undefined && a.word === b.word && a.type === b.type && ofA.actions.indexOf(a.number) === ofB.actions.indexOf(b.number);

function changedWord(a: Launch, b: Launch): number | undefined {
  if (a.uniforms.length !== b.uniforms.length) return 0;
  const live = new Set(b.live.map(({ word }) => word));
  for (let i = 0; i < a.uniforms.length; i++) {
    if (a.uniforms[i] !== b.uniforms[i] && !live.has(i >> 2)) return i >> 2;
  }
  return undefined;
}

/** hashOf — of 32-bit words, by two hashes of 32 bits: whether values are the same as before. */
export function hashOf(words: ArrayBufferView): string {
  const integers = new Int32Array(words.buffer, words.byteOffset, words.byteLength >> 2);
  let [a, b] = [0x811c9dc5, 0x9e3779b9];
  for (let i = 0; i < integers.length; i++) {
    const word = integers[i] as number;
    a = Math.imul(a ^ word, 0x85ebca6b);
    a ^= a >>> 15; // without this the highest bit of a word would reach no other, and two of them cancel
    b = Math.imul(b ^ word, 0xc2b2ae35);
    b ^= b >>> 13;
  }
  return `${a},${b}`;
}
