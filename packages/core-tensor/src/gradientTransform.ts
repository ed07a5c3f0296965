import type { Scalar, Tensor, Variable } from '@tensorflow/tfjs-core';
import type { Tree } from './tree.ts';

/**
 * GradientTransform — an optimizer, or a part of one: gradients in, updates out, state beside.
 *
 * `init` makes the state (a tree of untrained variables and plain numbers such as `count`); `update` returns new tensors to be
 * *added* to the parameters, changes the state in place, and borrows `grads` and `params`.
 */
export type GradientTransform<S extends OptimizerState = OptimizerState> = {
  init(params: Tree<Variable>): S;
  update(grads: Tree<Tensor>, state: S, params: Tree<Variable>): Tree<Tensor>;
};

/** OptimizerState — nested plain data with variables for tensors and numbers for counters; saved in checkpoints by path. */
export type OptimizerState = { [key: string]: Variable | number | OptimizerState | OptimizerState[] | Tree<Variable> };

/** Schedule — a number for each step, counted from 0: a learning rate, a momentum. */
export type Schedule = {
  (step: number): number;
  /** The largest value it is made to take, for what is measured relative to it; a plain function may leave it out. */
  readonly peak?: number;
};

/**
 * GradientMethod — how a training step gets a gradient from its loss: `valueAndGrad` is one, `sam({ rho })` another.
 *
 * It calls `fn` once or several times, at `params` or, in place of their variables, at other tensors near them; it leaves `params` as they
 * are, and reads no value back, so that a step with it can be captured.
 *
 * @param fn  the loss: one float32 number.
 * @returns   the loss at `params`, and a tree of their structure to be handed to the optimizer; both are the caller's.
 */
export type GradientMethod = <P extends Tree<Variable>>(fn: (params: P) => Tensor, params: P) => { value: Scalar; grads: Tree<Tensor> };
