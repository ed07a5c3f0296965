import {
  checkDtype, checkInteger, checkLastDim, checkOneOf, checkRange, checkRank, checkShape, fusedOp, normal, runKernel, scaledResidual, zeros,
  type Initialiser, type LinearEpilogue, type LinearFactory, type LayerPlace, type ParamSpec, type Tree,
} from '@evenkeel/core-tensor';
import { add, matMul, mul, reshape, tidy, util, type Tensor, type Tensor2D } from '@tensorflow/tfjs-core';
import { activationGrad, ACTIVATIONS, type Activation } from './activations.ts';

/** LinearParams — `weight: o i` (as in PyTorch) and `bias: o`, which may be absent. */
export type LinearParams = { weight: Tensor; bias?: Tensor };
export type LinearLayerOptions = {
  /** Whether the layer has an offset; default true. */
  bias?: boolean;
  /** How `weight` starts; default N(0, 0.02²), scaled by 1/√(2·depth) where the layer writes to the residual stream. */
  initialiser?: Initialiser;
};

type Inputs = { x: Tensor; weight: Tensor; bias?: Tensor; residual?: Tensor };
type Attrs = { activation?: Activation; scale: number };

/** `... c` → `n c` */
const rows = (x: Tensor): Tensor2D => reshape(x, [util.sizeFromShape(x.shape.slice(0, -1)), x.shape[x.shape.length - 1] as number]);

function referenceLinear({ x, weight, bias, residual }: Inputs, { activation, scale }: Attrs): Tensor {
  const product = matMul(rows(x), weight as Tensor2D, false, true); // n o
  const scaled = scale === 1 ? product : mul(product, scale);
  const y = reshape(bias === undefined ? scaled : add(scaled, bias), x.shape.with(-1, weight.shape[0] as number));
  const activated = activation === undefined ? y : ACTIVATIONS[activation](y);
  return residual === undefined ? activated : add(activated, residual);
}

const fusedLinear = fusedOp<Inputs, Attrs>({
  name: 'evenkeel/linear', // outputs: y and, with an activation, what that was given
  reference: referenceLinear,
  results: 1,
  gradient: {
    kernels: ['evenkeel/linearGradInput', 'evenkeel/linearGradParams', 'evenkeel/geluGrad', 'evenkeel/siluGrad'],
    saveOutputs: [1],
    readsInputs: ['x', 'weight'],
    run: ({ dy, inputs: { x, weight }, outputs: [before], attrs: { activation, scale }, wants }) => {
      const inner = activation === undefined ? dy : activationGrad(activation, before as Tensor, dy);
      const ofParams = wants('weight') || wants('bias') ? runKernel<Tensor[]>('evenkeel/linearGradParams', { x, dy: inner }, { scale }) : [];
      return {
        x: () => runKernel('evenkeel/linearGradInput', { dy: inner, weight }, { scale }),
        weight: ofParams[0], // o i
        bias: ofParams[1], // o
        residual: dy,
      };
    },
  },
  differentiable: 'once',
});

/**
 * linear — a linear map of the last axis.
 *
 *     y = activation(scale · x weightᵀ + bias) + residual
 *
 * @param x        `... i` — float32, rank ≥ 1.
 * @param params   `weight: o i` and, if wanted, `bias: o`.
 * @param options  `activation` (`gelu`, `geluTanh` or `silu`; default none); `residual: ... o` (default none); `scale` (default 1).
 * @returns        `... o` — a new tensor owned by the caller.
 * @throws ShapeError   if a tensor is not float32, or the last axis of `x`, `bias` or `residual` does not fit.
 * @throws ConfigError  if `activation` is unknown or `scale` is not a finite number.
 */
export function linear(x: Tensor, { weight, bias }: LinearParams, { activation, residual, scale = 1 }: LinearEpilogue = {}): Tensor {
  checkRank('linear', 'weight', weight, 2);
  checkDtype('linear', 'x', x, 'float32');
  checkDtype('linear', 'weight', weight, 'float32');
  checkLastDim('linear', 'x', x, weight.shape[1] as number);
  if (bias !== undefined) {
    checkDtype('linear', 'bias', bias, 'float32');
    checkShape('linear', 'bias', bias, [weight.shape[0] as number]);
  }
  if (residual !== undefined) {
    checkDtype('linear', 'residual', residual, 'float32');
    checkShape('linear', 'residual', residual, x.shape.with(-1, weight.shape[0] as number));
  }
  if (activation !== undefined) checkOneOf('linear', 'activation', activation, Object.keys(ACTIVATIONS) as Activation[]);
  checkRange('linear', 'scale', scale, -Number.MAX_VALUE, Number.MAX_VALUE);
  return tidy('linear', () => fusedLinear({ x, weight, bias, residual }, { activation, scale }));
}

/**
 * linearLayer — a linear map as a value for models: `transformerBlock({ linear: linearLayer({ bias: false }), … })`.
 *
 * @param options  `bias` (default true); `initialiser` of the weight (default: see LinearLayerOptions).
 * @returns        a LinearFactory; its layers have params `weight: o i` and `bias: o`.
 */
export function linearLayer({ bias = true, initialiser }: LinearLayerOptions = {}): LinearFactory {
  return (inDim: number, outDim: number, place: LayerPlace = {}) => {
    checkInteger('linearLayer', 'inDim', inDim);
    checkInteger('linearLayer', 'outDim', outDim);
    const { role = 'hidden', residualDepth, outAxis = 'out', inAxis = 'in', parts, headDim } = place;
    const block = { ...(parts && { parts }), ...(headDim !== undefined && { headDim }), ...(place.block === undefined ? {} : { block: place.block }) };
    const weight: ParamSpec = { shape: [outDim, inDim], axes: `${outAxis} ${inAxis}`, role, ...block, fanIn: inDim };
    const initWeight = initialiser ?? (residualDepth === undefined ? normal() : scaledResidual({ depth: residualDepth }));
    const specs: Tree<ParamSpec> = bias ? { weight, bias: { shape: [outDim], axes: outAxis, role: 'bias', ...block } } : { weight };
    return {
      specs,
      initialiserOf: (_, path) => (path === 'bias' ? zeros : initWeight),
      apply: (x, params) => linear(x, params as LinearParams),
      applyWith: (x, params, epilogue) => linear(x, params as LinearParams, epilogue),
    };
  };
}
