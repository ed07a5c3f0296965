import type { Tensor, Variable } from '@tensorflow/tfjs-core';
import type { Observe } from './techniques.ts';
import type { Tree } from './tree.ts';

/** Reading — what a monitor measured in one training step. */
export type Reading = {
  /** Steps done, this one included: 1 for the first. */
  readonly step: number;
  readonly loss: number;
  readonly gradNorm: number;
  /** By name, `blocks.3.attn.entropy`: one number, or several such as one per head. */
  readonly values: Readonly<Record<string, readonly number[]>>;
};

/** Finding — something about a run that its user should know, in plain words, with the place in the model. */
export type Finding = {
  /** What it is, for programs: `entropyCollapse`, `logitGrowth`, `lossSpike`. */
  readonly kind: string;
  /** Path in the model, if it has one: `blocks.3`. */
  readonly where?: string;
  readonly message: string;
};

/**
 * Monitor — watches training steps from within. What it computes is part of the step, on the device, and small; its numbers are read every
 * `every` steps.
 */
export type Monitor = {
  /** Steps from one reading to the next; the first step is always read. */
  readonly every: number;
  /** Of a value inside the model: float32 tensors to be read, by name; nothing for a value that it does not watch. */
  observe(...value: Parameters<Observe>): Readonly<Record<string, Tensor>> | undefined;
  /** Of the parameters before the update, their gradients, and the updates that will be added: the same. */
  measure?(step: { readonly params: Tree<Variable>; readonly grads: Tree<Tensor>; readonly updates: Tree<Tensor> }): Readonly<Record<string, Tensor>>;
  /** What was read, as it is to be kept: for a monitor that reads many numbers as one tensor. Default as it is. */
  unpack?(values: Reading['values']): Reading['values'];
  /** What a reading shows, given the earlier ones of the run, oldest first. */
  judge?(reading: Reading, earlier: readonly Reading[]): readonly Finding[];
};
