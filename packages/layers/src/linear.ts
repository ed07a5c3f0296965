import {
  checkDtype, checkInteger, checkLastDim, checkRank, checkShape, fusedOp, normal, scaledResidual, zeros,
  type Initialiser, type LinearFactory, type LayerPlace, type ParamSpec, type Tree,
} from '@evenkeel/core-tensor';
import { add, matMul, reshape, sum, tidy, util, type Tensor, type Tensor2D } from '@tensorflow/tfjs-core';

/** LinearParams — `weight: o i` (as in PyTorch) and `bias: o`, which may be absent. */
export type LinearParams = { weight: Tensor; bias?: Tensor };
export type LinearLayerOptions = {
  /** Whether the layer has an offset; default true. */
  bias?: boolean;
  /** How `weight` starts; default N(0, 0.02²), scaled by 1/√(2·depth) where the layer writes to the residual stream. */
  initialiser?: Initialiser;
};

type Inputs = { x: Tensor; weight: Tensor; bias?: Tensor };

/** `... c` → `n c` */
const rows = (x: Tensor): Tensor2D => reshape(x, [util.sizeFromShape(x.shape.slice(0, -1)), x.shape[x.shape.length - 1] as number]);

function referenceLinear({ x, weight, bias }: Inputs): Tensor {
  const y = matMul(rows(x), weight as Tensor2D, false, true); // n o
  return reshape(bias === undefined ? y : add(y, bias), [...x.shape.slice(0, -1), weight.shape[0] as number]);
}

const fusedLinear = fusedOp<Inputs, object>({
  name: 'evenkeel/linear',
  reference: referenceLinear,
  gradient: {
    kernels: [],
    run: ({ dy, inputs: { x, weight } }) => ({
      x: () => reshape(matMul(rows(dy), weight as Tensor2D), x.shape),
      weight: () => matMul(rows(dy), rows(x), true, false), // o i
      bias: () => sum(rows(dy), 0), // o
    }),
  },
  differentiable: 'twice',
});

/**
 * linear — a linear map of the last axis.
 *
 *     y = x weightᵀ + bias
 *
 * @param x       `... i` — float32, rank ≥ 1.
 * @param params  `weight: o i` and, if wanted, `bias: o`.
 * @returns       `... o` — a new tensor owned by the caller.
 * @throws ShapeError  if a tensor is not float32, or the last axis of `x` or the length of `bias` does not fit `weight`.
 */
export function linear(x: Tensor, { weight, bias }: LinearParams): Tensor {
  checkRank('linear', 'weight', weight, 2);
  checkDtype('linear', 'x', x, 'float32');
  checkDtype('linear', 'weight', weight, 'float32');
  checkLastDim('linear', 'x', x, weight.shape[1] as number);
  if (bias !== undefined) {
    checkDtype('linear', 'bias', bias, 'float32');
    checkShape('linear', 'bias', bias, [weight.shape[0] as number]);
  }
  return tidy('linear', () => fusedLinear({ x, weight, bias }, {}));
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
    const { role = 'hidden', residualDepth } = place;
    const block = place.block === undefined ? {} : { block: place.block };
    const weight: ParamSpec = { shape: [outDim, inDim], axes: 'out in', role, ...block, fanIn: inDim };
    const initWeight = initialiser ?? (residualDepth === undefined ? normal() : scaledResidual({ depth: residualDepth }));
    const specs: Tree<ParamSpec> = bias ? { weight, bias: { shape: [outDim], axes: 'out', role: 'bias', ...block } } : { weight };
    return {
      specs,
      initialiserOf: (_, path) => (path === 'bias' ? zeros : initWeight),
      apply: (x, params) => linear(x, params as LinearParams),
    };
  };
}
