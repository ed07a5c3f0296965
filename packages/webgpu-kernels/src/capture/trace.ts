import { StepNumber, type GpuProgram, type StepRecorder } from '@evenkeel/core-tensor';
import { engine, type DataId, type Tensor, type Variable } from '@tensorflow/tfjs-core';
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
  /** The gate that it stands behind. */
  readonly gate: Gate | undefined;
};

/** LiveWord — where in the uniforms a StepNumber stands. */
export type LiveWord = { readonly word: number; readonly type: GpuProgram['uniforms'][number]['type']; readonly number: StepNumber };

/** Gate — scalars that must be finite for what stands behind it to happen. */
export type Gate = { readonly values: readonly GPUBuffer[]; readonly before: number };

/** Constant — values that came from the CPU in the middle of the step. */
export type Constant = { readonly buffer: GPUBuffer; readonly hash: string; readonly text: string };

/**
 * Trace — a step as it was recorded: its launches are collected, not run; buffers are real, and reused within the step in the
 * order of the launches. What makes a replay impossible is kept as the reason for refusing.
 */
export class Trace implements StepRecorder {
  readonly launches: Launch[] = [];
  readonly constants: Constant[] = [];
  /** Numbers to renew and effects to repeat, in order. */
  readonly actions: (StepNumber | (() => void))[] = [];
  /** Variables that were assigned anew behind a gate. */
  readonly assignedBehind = new Map<Variable, Gate>();
  /** Tensors that were there before the step, with their buffers. */
  readonly outside = new Map<DataId, GPUBuffer>();
  /** Where the constants' buffers come from: none is used twice. */
  readonly constantArena: Arena;
  /** Buffers that count as made within the step were acquired after this many others. */
  readonly begin: number;
  readonly #bufferOf: (tensor: Tensor) => GPUBuffer;
  readonly #onRefusal: () => void;
  #gate: Gate | undefined;
  #refusal: string | undefined;

  constructor({ begin, constantArena, bufferOf, onRefusal }: {
    begin: number; constantArena: Arena; bufferOf: (tensor: Tensor) => GPUBuffer; onRefusal: () => void;
  }) {
    this.begin = begin;
    this.constantArena = constantArena;
    this.#bufferOf = bufferOf;
    this.#onRefusal = onRefusal;
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
    if (launch.live.some(({ number }) => !this.actions.includes(number))) this.refuse(`${launch.name} was told a number that no replay would compute anew`);
    const written = this.constants.find(({ buffer }) => launch.writes.includes(buffer));
    if (written !== undefined) this.refuse(`${launch.name} writes over values that came from the CPU (${written.text})`);
  }

  refuse(reason: string): void {
    if (this.#refusal !== undefined) return;
    this.#refusal = reason;
    this.#onRefusal();
  }

  number(compute: () => number): StepNumber {
    const number = new StepNumber(compute);
    this.actions.push(number);
    return number;
  }

  effect(run: () => void): void {
    this.actions.push(run);
  }

  gate(values: readonly Tensor[], f: () => void, onRefusal: 'run' | 'skip'): void {
    if (this.#gate !== undefined) this.refuse('ifFinite stands within another ifFinite');
    if (this.#refusal !== undefined && onRefusal === 'skip') return;
    const gate = this.#gate = this.#refusal === undefined ? { values: values.map(this.#bufferOf), before: this.launches.length } : undefined;
    const before = variablesNow();
    try {
      f();
    } finally {
      this.#gate = undefined;
      if (gate !== undefined) for (const [variable, dataId] of before) if (variable.dataId !== dataId) this.assignedBehind.set(variable, gate);
    }
  }
}

/** variablesNow — all variables, and where their values are. */
export const variablesNow = (): Map<Variable, DataId> => new Map(Object.values(engine().state.registeredVariables).map((variable) => [variable, variable.dataId]));

/** difference — what tells two traces of one step apart, or undefined if a replay of either does the same. */
export function difference(a: Trace, b: Trace): string | undefined {
  const [outsideA, outsideB] = [new Set(a.outside.values()), new Set(b.outside.values())];
  for (const [i, launch] of a.launches.entries()) {
    const other = b.launches[i];
    if (other === undefined) return `${launch.name} was launched in one run and not in the next`;
    if (launch.pipeline !== other.pipeline) return `${launch.name} was launched in one run where the next launched ${other.name}`;
    if (launch.groups.join() !== other.groups.join()) return `the size of ${launch.name} changed from one run to the next`;
    const isOther = launch.bound.some(({ buffer }, place) => (outsideA.has(buffer) || outsideB.has(other.bound[place]?.buffer as GPUBuffer)) && buffer !== other.bound[place]?.buffer);
    if (isOther) return `${launch.name} was given one tensor from outside the step in one run and another in the next`;
    const word = changedWord(launch, other);
    if (word !== undefined) return `a number that ${launch.name} was told (uniform ${word}) changed from one run to the next`;
  }
  const more = b.launches[a.launches.length];
  if (more !== undefined) return `${more.name} was launched in one run and not in the one before`;
  const changed = b.constants.find(({ hash }, i) => hash !== a.constants[i]?.hash);
  if (changed === undefined) return a.constants.length === b.constants.length ? undefined : 'more values came from the CPU in one run than in the next';
  const reader = b.launches.find(({ bound }) => bound.some(({ buffer }) => buffer === changed.buffer));
  return `values from the CPU (${changed.text}${reader === undefined ? '' : `, read by ${reader.name}`}) changed from one run to the next`;
}

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
