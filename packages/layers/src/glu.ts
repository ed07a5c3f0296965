import { checkDtype, checkOneOf, checkShape, fusedOp, runKernel } from '@evenkeel/core-tensor';
import { mul, relu, sigmoid, tidy, type Tensor } from '@tensorflow/tfjs-core';
import { referenceGelu } from './gelu.ts';

/** GluActivation — what the gate goes through: GLU, ReGLU, GEGLU (with erf or tanh) and SwiGLU. */
export type GluActivation = keyof typeof GATES;
export type GluOptions = {
  /** Default `sigmoid`, the GLU. */
  activation?: GluActivation;
};

const GATES = {
  sigmoid: (x: Tensor) => sigmoid(x),
  relu: (x: Tensor) => relu(x),
  gelu: (x: Tensor) => referenceGelu({ x }, { approximate: 'none' }),
  geluTanh: (x: Tensor) => referenceGelu({ x }, { approximate: 'tanh' }),
  silu: (x: Tensor) => mul(x, sigmoid(x)),
} as const;

/** gluActivations — every activation that a gate may go through. */
export const gluActivations = Object.keys(GATES) as GluActivation[];

const fusedGlu = fusedOp<{ gate: Tensor; value: Tensor }, Required<GluOptions>>({
  name: 'evenkeel/glu',
  reference: ({ gate, value }, { activation }) => mul(GATES[activation](gate), value),
  gradient: {
    kernels: ['evenkeel/gluGrad'],
    run: ({ dy, inputs: { gate, value }, attrs }) => {
      const [dgate, dvalue] = runKernel<Tensor[]>('evenkeel/gluGrad', { gate, value, dy }, attrs);
      return { gate: dgate, value: dvalue };
    },
  },
  differentiable: 'once',
});

/**
 * glu — a gated linear unit, element by element; gate and value come from two linear maps of the same input.
 *
 *     y = f(gate) · value        f: sigmoid (GLU), relu (ReGLU), gelu or geluTanh (GEGLU), silu (SwiGLU)
 *
 * @param gate     `... f` — what goes through the activation, float32.
 * @param value    `... f` — what it lets through, of the same shape.
 * @param options  `activation` (default `sigmoid`).
 * @returns        `... f` — a new tensor owned by the caller.
 * @throws ShapeError   if `gate` or `value` is not float32, or their shapes differ.
 * @throws ConfigError  if `activation` is unknown.
 *
 * Source: Shazeer 2020, arXiv:2002.05202, eqs. 4–5; Dauphin et al. 2016, arXiv:1612.08083, for the GLU.
 */
export function glu<T extends Tensor>(gate: T, value: T, { activation = 'sigmoid' }: GluOptions = {}): T {
  checkDtype('glu', 'gate', gate, 'float32');
  checkDtype('glu', 'value', value, 'float32');
  checkShape('glu', 'value', value, gate.shape);
  checkOneOf('glu', 'activation', activation, gluActivations);
  return tidy('glu', () => fusedGlu({ gate, value }, { activation })) as T;
}
