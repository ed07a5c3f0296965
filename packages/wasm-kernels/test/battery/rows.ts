import { logSumExp64 } from '@evenkeel/testing/numbers';
import {
  _FusedMatMul, Abs, Add, backend_util, BatchMatMul, Cast, Concat, Conv2D, Conv2DBackpropFilter, Conv2DBackpropInput, Equal, Erf, Exp, Fill, GatherV2, Greater, GreaterEqual, Less, LessEqual, Max, Maximum, Mean,
  Minimum, Multiply, Neg, NotEqual, OnesLike, Pack, PadV2, RealDiv, Reciprocal, Relu, Reverse, Rsqrt, ScatterNd, Select, Sigmoid, Slice, Softmax,
  SplitV, Sqrt, Square, SquaredDifference, Step, StridedSlice, Sub, Sum, Tanh, Tile, Transpose, Unpack, ZerosLike,
} from '@tensorflow/tfjs-core';
import { ATTENTION_ROWS } from './attentionRows.ts';
import { CONVOLUTIONS, type Shape4 } from './convolutionForms.ts';
import type { Draw, Values } from './draw.ts';
import * as reference from './references.ts';
import { gradientOf, type Reference } from './references.ts';
import type { Row, Tolerance } from './row.ts';

export type { Row } from './row.ts';

const ELEMENTS = 70_001;
const elementwise = (draw: Draw, n: number) => ({ x: draw.floats(n) });

const unary: Row[] = [
  ...[Neg, Square, Exp, Tanh, Sigmoid, Relu, Abs, Reciprocal, Erf].map((kernel) => ({ kernel, inputs: elementwise, large: ELEMENTS, slowDenormals: true })),
  ...[Sqrt, Rsqrt].map((kernel) => ({ kernel, inputs: (draw: Draw, n: number) => ({ x: draw.positive(n) }), large: ELEMENTS, slowDenormals: true })),
  { kernel: Step, inputs: elementwise, attrs: { alpha: 0.25 }, large: ELEMENTS },
];

const BINARY_FORMS: Record<string, (draw: Draw, n: number) => Record<string, Values>> = {
  'of equal shapes': (draw, n) => ({ a: draw.floats(n), b: draw.floats(n) }),
  'of a tensor and a scalar': (draw, n) => ({ a: draw.floats(3, n), b: draw.floats() }),
  'of a scalar and a tensor': (draw, n) => ({ a: draw.floats(), b: draw.floats(n) }),
  'of a tensor and a row': (draw, n) => ({ a: draw.floats(n, 5), b: draw.floats(5) }),
  'of a row and a tensor': (draw, n) => ({ a: draw.floats(1, n), b: draw.floats(2, 3, n) }),
  'of a column and a row': (draw, n) => ({ a: draw.floats(n, 1), b: draw.floats(1, 4) }),
  'of shapes that broadcast in the middle': (draw, n) => ({ a: draw.floats(2, n, 3), b: draw.floats(2, 1, 3) }),
};

const binary: Row[] = [Add, Sub, Multiply, RealDiv, Maximum, Minimum, SquaredDifference].flatMap((kernel) => Object.entries(BINARY_FORMS).map(([form, inputs]) => ({
  kernel, form, inputs, large: 30_001, tolerance: { rtol: kernel === SquaredDifference ? 3e-7 : 1e-7, atol: 0 }, slowDenormals: kernel === RealDiv || kernel === SquaredDifference,
})));

/** So that some are equal. */
const rounded = (values: Values): Values => ({ ...values, data: (values.data as Float32Array).map(Math.round) });

const logical: Row[] = [
  ...[Equal, NotEqual, Less, LessEqual, Greater, GreaterEqual].flatMap((kernel) => Object.entries(BINARY_FORMS).map(([form, inputs]) => ({
    kernel, form, inputs: (draw: Draw, n: number) => inputs({ ...draw, floats: (...shape) => rounded(draw.floats(...shape)) }, n), large: 30_001,
  }))),
  { kernel: Select, large: ELEMENTS, inputs: (draw, n) => ({ condition: draw.bools(n), t: draw.floats(n), e: draw.floats(n) }) },
];

/** Sums of n products of unit normals. */
const product = { rtol: 1e-5, atol: 3e-5 };
const FORMS = [[false, false], [false, true], [true, false], [true, true]] as const;

const products: Row[] = [
  ...FORMS.map(([transposeA, transposeB]): Row => ({
    kernel: BatchMatMul, form: `with transposeA ${transposeA}, transposeB ${transposeB}`, attrs: { transposeA, transposeB }, large: 260, tolerance: product,
    inputs: (draw, n) => ({ a: transposeA ? draw.floats(2, n, n + 1) : draw.floats(2, n + 1, n), b: transposeB ? draw.floats(2, n + 2, n) : draw.floats(2, n, n + 2) }),
  })),
  { kernel: BatchMatMul, form: 'of one row', attrs: { transposeA: false, transposeB: true }, large: 700, tolerance: product, inputs: (draw, n) => ({ a: draw.floats(1, n), b: draw.floats(n, n) }) },
  { kernel: BatchMatMul, form: 'with one column', attrs: { transposeA: false, transposeB: false }, large: 700, tolerance: product, inputs: (draw, n) => ({ a: draw.floats(n, n), b: draw.floats(n, 1) }) },
  {
    kernel: _FusedMatMul, attrs: { transposeA: false, transposeB: false, activation: 'relu' }, large: 260, tolerance: product,
    inputs: (draw, n) => ({ a: draw.floats(1, n + 3, n), b: draw.floats(1, n, n + 2), bias: draw.floats(n + 2) }),
  },
  { kernel: 'evenkeel/linear', form: 'without a bias', large: 260, tolerance: product, reference: reference.linear, inputs: (draw, n) => ({ x: draw.floats(n, 300), weight: draw.floats(9, 300) }) },
  { kernel: 'evenkeel/linear', large: 260, tolerance: product, reference: reference.linear, inputs: (draw, n) => ({ x: draw.floats(n, n + 1), weight: draw.floats(n + 2, n + 1), bias: draw.floats(n + 2) }) },
  ...(['gelu', 'geluTanh', 'silu', 'relu', 'relu6'] as const).map((activation): Row => ({
    kernel: 'evenkeel/linear', form: `with ${activation}, scale and residual`, attrs: { activation, scale: 0.5 }, large: 260, tolerance: product, reference: reference.linear,
    inputs: (draw, n) => ({ x: draw.floats(n, n + 1), weight: draw.floats(n + 2, n + 1), bias: draw.floats(n + 2), residual: draw.floats(n, n + 2) }),
  })),
  { kernel: 'evenkeel/linear', form: 'of a row, with gelu, scale and residual', attrs: { activation: 'gelu', scale: 0.5 }, large: 700, tolerance: product, reference: reference.linear, inputs: (draw, n) => ({ x: draw.floats(1, n + 1), weight: draw.floats(n + 2, n + 1), bias: draw.floats(n + 2), residual: draw.floats(1, n + 2) }) },
  { kernel: 'evenkeel/linearGradInput', attrs: { scale: 0.5 }, large: 260, tolerance: product, reference: reference.linearGradInput, inputs: (draw, n) => ({ dy: draw.floats(2, n, n + 2), weight: draw.floats(n + 2, n + 1) }) },
  { kernel: 'evenkeel/linearGradParams', attrs: { scale: 0.5 }, large: 260, tolerance: product, reference: reference.linearGradParams, inputs: (draw, n) => ({ x: draw.floats(2, n, n), dy: draw.floats(2, n, n + 2) }) },
  { kernel: 'evenkeel/linearGradParams', form: 'of one output', large: 700, tolerance: product, reference: reference.linearGradParams, inputs: (draw, n) => ({ x: draw.floats(n, 300), dy: draw.floats(n, 1) }) },
];

const convolutions: Row[] = Object.entries(CONVOLUTIONS).flatMap(([form, { x, filter, strides = 1, pad = 'valid', dilations = 1, large = 1000 }]): Row[] => {
  const attrs = { strides, pad, dataFormat: 'NHWC' };
  const dy = (n: number): Shape4 => backend_util.computeConv2DInfo(x(n), filter(n), strides, dilations, pad as never).outShape as Shape4;
  /** Zeros around an image are multiplied as well, and 0 · NaN is NaN. */
  const specials = pad === 'valid' ? 'same' : 'spread';
  const forward: Row = { kernel: Conv2D, form, large, tolerance: product, specials, attrs: { ...attrs, dilations }, inputs: (draw, n) => ({ x: draw.floats(...x(n)), filter: draw.floats(...filter(n)) }) };
  return dilations !== 1 ? [forward] : [
    forward,
    { kernel: Conv2DBackpropInput, form, large, tolerance: product, attrs: (n: number) => ({ ...attrs, inputShape: x(n) }), inputs: (draw, n) => ({ dy: draw.floats(...dy(n)), filter: draw.floats(...filter(n)) }) },
    { kernel: Conv2DBackpropFilter, form, large, tolerance: product, specials, attrs: (n: number) => ({ ...attrs, filterShape: filter(n) }), inputs: (draw, n) => ({ x: draw.floats(...x(n)), dy: draw.floats(...dy(n)) }) },
  ];
});


const rows = (draw: Draw, n: number) => draw.floats(n, Math.max(n, 1));
const row = (draw: Draw, n: number) => draw.floats(Math.max(n, 1));
const EPS = { eps: 1e-5 };

const norms: Row[] = [
  { kernel: 'evenkeel/layerNorm', slowDenormals: true, attrs: EPS, large: 500, reference: reference.layerNorm, inputs: (draw, n) => ({ x: rows(draw, n), weight: row(draw, n), bias: row(draw, n) }) },
  { kernel: 'evenkeel/layerNorm', slowDenormals: true, form: 'without weight and bias', attrs: EPS, large: 500, reference: reference.layerNorm, inputs: (draw, n) => ({ x: rows(draw, n) }) },
  { kernel: 'evenkeel/rmsNorm', slowDenormals: true, attrs: EPS, large: 500, reference: reference.rmsNorm, inputs: (draw, n) => ({ x: rows(draw, n), weight: row(draw, n) }) },
  {
    kernel: 'evenkeel/addLayerNorm', slowDenormals: true, attrs: EPS, large: 500, reference: reference.addNorm(reference.layerNorm),
    inputs: (draw, n) => ({ x: rows(draw, n), residual: rows(draw, n), weight: row(draw, n), bias: row(draw, n) }),
  },
  {
    kernel: 'evenkeel/addRmsNorm', slowDenormals: true, attrs: EPS, large: 500, reference: reference.addNorm(reference.rmsNorm),
    inputs: (draw, n) => ({ x: rows(draw, n), residual: rows(draw, n), weight: row(draw, n) }),
  },
  {
    kernel: 'evenkeel/layerNormGrad', form: 'of a sum', specials: 'notFinite', slowDenormals: true, attrs: EPS, large: 500, tolerance: { rtol: 1e-5, atol: 1e-5 }, reference: reference.layerNormGradOfSum,
    inputs: (draw, n) => ({ x: rows(draw, n), weight: row(draw, n), bias: row(draw, n), dy: rows(draw, n), dsum: rows(draw, n) }),
  },
  {
    kernel: 'evenkeel/layerNormGrad', specials: 'notFinite', slowDenormals: true, attrs: EPS, large: 500, tolerance: { rtol: 1e-5, atol: 1e-5 }, reference: gradientOf(reference.layerNorm, 'x', 'weight', 'bias'),
    inputs: (draw, n) => ({ x: rows(draw, n), weight: row(draw, n), bias: row(draw, n), dy: rows(draw, n) }),
  },
  {
    kernel: 'evenkeel/rmsNormGrad', specials: 'notFinite', slowDenormals: true, attrs: EPS, large: 500, tolerance: { rtol: 1e-5, atol: 1e-5 }, reference: gradientOf(reference.rmsNorm, 'x', 'weight'),
    inputs: (draw, n) => ({ x: rows(draw, n), weight: row(draw, n), dy: rows(draw, n) }),
  },
];

/** 514 vectors of four. */
const WIDE = 2056;

const wideNorm = (kernel: string, of: Reference, inputs: Row['inputs'], tolerance: Tolerance = {}): Row =>
  ({ kernel, form: 'of whole vectors', specials: 'notFinite', slowDenormals: true, attrs: EPS, large: 100, reference: of, inputs, tolerance });

const wideNorms: Row[] = [
  wideNorm('evenkeel/addLayerNorm', reference.addNorm(reference.layerNorm), (draw, n) => ({ x: draw.floats(n, WIDE), residual: draw.floats(n, WIDE), weight: draw.floats(WIDE), bias: draw.floats(WIDE) })),
  wideNorm('evenkeel/rmsNorm', reference.rmsNorm, (draw, n) => ({ x: draw.floats(n, WIDE), weight: draw.floats(WIDE) })),
  wideNorm('evenkeel/layerNormGrad', reference.layerNormGradOfSum, (draw, n) => ({
    x: draw.floats(n, WIDE), weight: draw.floats(WIDE), bias: draw.floats(WIDE), dy: draw.floats(n, WIDE), dsum: draw.floats(n, WIDE),
  }), product),
  wideNorm('evenkeel/rmsNormGrad', gradientOf(reference.rmsNorm, 'x', 'weight'), (draw, n) => ({ x: draw.floats(n, WIDE), weight: draw.floats(WIDE), dy: draw.floats(n, WIDE) }), product),
];

const classes = (draw: Draw, n: number) => {
  const targets = draw.integers(Math.max(n, 1), n);
  if (n > 1) targets.data[n - 2] = -100;
  return { logits: rows(draw, n), targets };
};
const wideClasses = (draw: Draw, n: number) => ({ logits: draw.floats(n, WIDE), targets: draw.integers(WIDE, n) });
const LOSS = { ignoreIndex: -100, labelSmoothing: 0.1, zLoss: 0.01 };

const losses: Row[] = [
  { kernel: 'evenkeel/crossEntropy', specials: 'notFinite', slowDenormals: true, attrs: LOSS, large: 500, reference: reference.crossEntropy, inputs: classes },
  { kernel: 'evenkeel/crossEntropy', form: 'of whole vectors', specials: 'notFinite', slowDenormals: true, attrs: LOSS, large: 100, reference: reference.crossEntropy, inputs: wideClasses },
  ...([[undefined, classes], ['of whole vectors', wideClasses]] as const).map(([form, inputs]): Row => ({
    kernel: 'evenkeel/crossEntropyGrad', ...(form === undefined ? {} : { form }), slowDenormals: true, attrs: LOSS, large: 100,
    reference: gradientOf((of, attrs) => reference.crossEntropy(of, attrs)[0], 'logits'),
    inputs: (draw, n) => {
      const { logits, targets } = inputs(draw, n);
      return { logits, targets, lse: { shape: [n], dtype: 'float32', data: Float32Array.from(logSumExp64(logits.data, logits.shape[1] as number)) }, dy: draw.floats(n) };
    },
  })),
  { kernel: Softmax, slowDenormals: true, attrs: { dim: -1 }, large: 500, inputs: (draw, n) => ({ logits: rows(draw, n) }) },
  ...[1, 8, 40, 64, 128].map((width): Row => ({ kernel: Softmax, form: `of ${width} columns`, slowDenormals: true, attrs: { dim: -1 }, large: 500, inputs: (draw, n) => ({ logits: draw.floats(n, width) }) })),
  { kernel: Softmax, form: 'of whole vectors', slowDenormals: true, attrs: { dim: -1 }, large: 100, inputs: (draw, n) => ({ logits: draw.floats(n, WIDE) }) },
];

const layers: Row[] = [
  { kernel: 'evenkeel/embedding', large: 500, reference: reference.embedding, inputs: (draw, n) => ({ weight: draw.floats(7, n), ids: draw.integers(7, n) }) },
  { kernel: 'evenkeel/embeddingGrad', large: 500, attrs: { vocabSize: 7 }, reference: reference.embeddingGrad, tolerance: product, inputs: (draw, n) => ({ dy: draw.floats(n, Math.max(n, 1)), ids: draw.integers(7, n) }) },
  { kernel: 'evenkeel/embedding', form: 'of whole vectors', large: 500, reference: reference.embedding, inputs: (draw, n) => ({ weight: draw.floats(7, 12), ids: draw.integers(7, n) }) },
  {
    kernel: 'evenkeel/embeddingGrad', form: 'of whole vectors', large: 500, attrs: { vocabSize: 97 }, reference: reference.embeddingGrad, tolerance: product,
    inputs: (draw, n) => ({ dy: draw.floats(4 * n, 1028), ids: draw.integers(97, 4 * n) }),
  },
  ...(['none', 'tanh'] as const).flatMap((approximate): Row[] => [
    { kernel: 'evenkeel/gelu', slowDenormals: true, form: `with approximate '${approximate}'`, attrs: { approximate }, large: ELEMENTS, reference: reference.gelu, inputs: elementwise },
    { kernel: 'evenkeel/geluGrad', specials: 'notFinite', slowDenormals: true, form: `with approximate '${approximate}'`, attrs: { approximate }, large: ELEMENTS, reference: reference.geluGrad, inputs: (draw, n) => ({ x: draw.floats(n), dy: draw.floats(n) }) },
  ]),
  { kernel: 'evenkeel/silu', slowDenormals: true, large: ELEMENTS, reference: reference.silu, inputs: elementwise },
  { kernel: 'evenkeel/siluGrad', specials: 'notFinite', slowDenormals: true, large: ELEMENTS, reference: gradientOf(reference.silu, 'x'), inputs: (draw, n) => ({ x: draw.floats(n), dy: draw.floats(n) }) },
  ...(['sigmoid', 'relu', 'gelu', 'geluTanh', 'silu'] as const).flatMap((activation): Row[] => [
    { kernel: 'evenkeel/glu', slowDenormals: true, form: `with ${activation}`, attrs: { activation }, large: ELEMENTS, reference: reference.glu, inputs: (draw, n) => ({ gate: draw.floats(n), value: draw.floats(n) }), specials: 'notFinite' },
    {
      kernel: 'evenkeel/gluGrad', slowDenormals: true, form: `with ${activation}`, attrs: { activation }, large: ELEMENTS, reference: reference.gluGrad,
      inputs: (draw, n) => ({ gate: draw.floats(n), value: draw.floats(n), dy: draw.floats(n) }), specials: 'notFinite',
    },
  ]),
  ...[true, false].flatMap((interleaved) => [true, false].flatMap((inverse) => [10, 12].map((width): Row => ({
    kernel: 'evenkeel/rotary', form: `${interleaved ? 'interleaved' : 'in halves'}${inverse ? ', inverse' : ''}${width === 12 ? ', of whole vectors' : ''}`, large: 300, slowDenormals: true, reference: reference.rotary,
    attrs: (n: number) => ({ rotaryDim: 8, interleaved, inverse, table: Float32Array.from({ length: n * 8 }, (_, i) => (i % 8 < 4 ? Math.cos : Math.sin)(Math.floor(i / 8) / 10 ** (i % 4))) }),
    inputs: (draw, n) => ({ x: draw.floats(2, n, 3, width) }), specials: 'notFinite',
  })))),
  { kernel: 'evenkeel/dropout', slowDenormals: true, large: ELEMENTS, attrs: { rate: 0.3, key0: 12, key1: 34 }, reference: reference.dropout, inputs: elementwise },
];

/** Two tensors, the first of size n. */
const pair = (name: string, make: (...shape: number[]) => Values, n: number): Record<string, Values> => ({ [`${name}.0`]: make(n), [`${name}.1`]: make(2, 3) });

const optimizers: Row[] = [
  {
    kernel: 'evenkeel/adamw', writes: ['mu', 'nu'], slowDenormals: true, large: ELEMENTS, reference: reference.adamw,
    attrs: { learningRate: 0.01, beta1: 0.9, beta2: 0.999, eps: 1e-8, weightDecays: [0.1, 0.2], correction1: 0.19, correction2: 0.002 },
    inputs: (draw, n) => ({ ...pair('param', draw.floats, n), ...pair('grad', draw.floats, n), ...pair('mu', draw.floats, n), ...pair('nu', draw.positive, n) }),
  },
  {
    kernel: 'evenkeel/adamw', form: 'with scales', writes: ['mu', 'nu'], slowDenormals: true, large: ELEMENTS, reference: reference.adamw,
    attrs: { learningRate: 0.01, beta1: 0.9, beta2: 0.999, eps: 1e-8, weightDecays: [0.1, 0], scales: [0.25, 3], correction1: 0.19, correction2: 0.002 },
    inputs: (draw, n) => ({ ...pair('param', draw.floats, n), ...pair('grad', draw.floats, n), ...pair('mu', draw.floats, n), ...pair('nu', draw.positive, n) }),
  },
  {
    kernel: 'evenkeel/momentum', writes: ['mu'], slowDenormals: true, large: ELEMENTS, reference: reference.momentum,
    attrs: { learningRate: 0.1, keep: 0.9, take: 0.1, aheadKeep: 0.9, aheadTake: 0.1, weightDecays: [0.1, 0] },
    inputs: (draw, n) => ({ ...pair('param', draw.floats, n), ...pair('grad', draw.floats, n), ...pair('mu', draw.floats, n) }),
  },
  {
    kernel: 'evenkeel/momentum', form: 'with factors', writes: ['mu'], slowDenormals: true, large: ELEMENTS, reference: reference.momentum,
    attrs: { learningRate: 0.1, keep: 0.9, take: 1, aheadKeep: 0.81, aheadTake: 1.9, weightDecays: [0.1, 0.2], penalties: [0, 0.3], scales: [0.5, 2] },
    inputs: (draw, n) => ({ ...pair('param', draw.floats, n), ...pair('grad', draw.floats, n), ...pair('mu', draw.floats, n), 'factor.0': draw.floats(2), 'outFactor.0': draw.floats(2) }),
  },
  {
    kernel: 'evenkeel/momentum', form: 'with the sign', writes: ['mu'], slowDenormals: true, large: ELEMENTS, reference: reference.momentum,
    attrs: { learningRate: 0.1, keep: 0.99, take: 0.01, aheadKeep: 0.9, aheadTake: 0.1, sign: true, weightDecays: [0.1, 0] },
    inputs: (draw, n) => ({ ...pair('param', draw.floats, n), ...pair('grad', draw.floats, n), ...pair('mu', draw.floats, n) }),
  },
  { kernel: 'evenkeel/scaledSums', attrs: { a: 0.5 }, large: ELEMENTS, slowDenormals: true, reference: reference.scaledSums, inputs: (draw, n) => pair('x', draw.floats, n) },
  {
    kernel: 'evenkeel/scaledSums', form: 'with a factor and a second list', attrs: { a: 0.5, b: 0.7, bs: [-3, 0] }, large: ELEMENTS, slowDenormals: true, reference: reference.scaledSums,
    inputs: (draw, n) => ({ ...pair('x', draw.floats, n), ...pair('y', draw.floats, n), 'factor.0': draw.floats() }),
  },
  {
    kernel: 'evenkeel/scaledSums', form: 'with a factor for each', attrs: { a: 0.5, as: [2, 3] }, large: ELEMENTS, slowDenormals: true, reference: reference.scaledSums,
    inputs: (draw, n) => ({ ...pair('x', draw.floats, n), 'factor.0': draw.floats(2) }),
  },
  {
    kernel: 'evenkeel/addScaled', writes: ['x'], attrs: { a: 0.9, b: 1 }, large: ELEMENTS, slowDenormals: true, reference: reference.addScaled,
    inputs: (draw, n) => ({ ...pair('x', draw.floats, n), ...pair('y', draw.floats, n) }),
  },
  { kernel: 'evenkeel/globalNorm', large: ELEMENTS, slowDenormals: true, reference: reference.globalNorm, inputs: (draw, n) => pair('x', draw.floats, n) },
  { kernel: 'evenkeel/means', large: ELEMENTS, slowDenormals: true, specials: 'notFinite', reference: reference.means, inputs: (draw, n) => pair('x', draw.floats, n) },
  { kernel: 'evenkeel/meanSquares', large: ELEMENTS, slowDenormals: true, specials: 'notFinite', reference: reference.meanSquares, inputs: (draw, n) => pair('x', draw.floats, n) },
  {
    kernel: 'evenkeel/meanSquares', form: 'around centres, unless they are known', large: ELEMENTS, slowDenormals: true, specials: 'notFinite', reference: reference.meanSquares,
    inputs: (draw, n) => ({ ...pair('x', draw.floats, n), 'centre.0': draw.floats(2), 'unless.0': { shape: [2], dtype: 'float32', data: Float32Array.of(n % 2, 0) } }),
  },
  {
    kernel: 'evenkeel/rowColumnSquares', attrs: (n: number) => ({ columns: [n, 3, 1], eps: 0.5 }), large: 300, slowDenormals: true, specials: 'notFinite', reference: reference.rowColumnSquares,
    inputs: (draw, n) => ({ 'x.0': draw.floats(n + 7, n), 'x.1': draw.floats(2, 3), 'x.2': draw.floats(n) }),
  },
  {
    kernel: 'evenkeel/factoredRoots', attrs: (n: number) => ({ columns: [n, 3, 1] }), large: 300, slowDenormals: true, specials: 'notFinite', reference: reference.factoredRoots,
    inputs: (draw, n) => ({
      'x.0': draw.floats(n + 7, n), 'x.1': draw.floats(2, 3), 'x.2': draw.floats(n), 'row.0': draw.positive(n === 0 ? 0 : n + 7), 'row.1': draw.positive(2), 'row.2': draw.positive(n),
      'column.0': draw.positive(n), 'column.1': draw.positive(3), 'column.2': draw.positive(1), 'mean.0': draw.positive(3),
    }),
  },
];

/** Positive, so that sigma is far from 0, by which these divide. */
const reparametrised = (draw: Draw, n: number) => ({ weight: draw.positive(n + 2, n + 1, 2), gamma: draw.floats(1), u: draw.positive(n + 2), v: draw.positive(2 * n + 2) });

const spectral: Row[] = [
  { kernel: 'evenkeel/powerIteration', large: 400, slowDenormals: true, reference: reference.powerIteration, specials: 'notFinite', inputs: (draw, n) => ({ weight: draw.floats(n + 2, n + 1, 2), v: draw.floats(2 * n + 2) }) },
  { kernel: 'evenkeel/sigmaReparam', large: 400, slowDenormals: true, reference: reference.sigmaReparam, specials: 'notFinite', inputs: reparametrised },
  {
    kernel: 'evenkeel/sigmaReparamGrad', large: 400, slowDenormals: true, reference: reference.sigmaReparamGrad, specials: 'notFinite', tolerance: { rtol: 1e-5, atol: 3e-5 },
    inputs: (draw, n) => ({ ...reparametrised(draw, n), sigma: draw.positive(), dy: draw.floats(n + 2, n + 1, 2) }),
  },
];

const AXES: [string, number | number[]][] = [['the last axis', 2], ['the first axis', 0], ['the middle axis', [1]], ['the first two axes', [0, 1]], ['the last two axes', [2, 1]], ['all axes', [0, 1, 2]], ['scattered axes', [0, 2]]];

const reductions: Row[] = [Sum, Mean, Max].flatMap((kernel) => AXES.flatMap(([form, axis]) => [true, false].map((keepDims): Row => ({
  kernel, form: `over ${form}${keepDims ? ', kept' : ''}`, attrs: { [kernel === Max ? 'reductionIndices' : 'axis']: axis, keepDims }, large: 130, tolerance: product, slowDenormals: kernel === Mean,
  inputs: (draw, n) => ({ x: draw.floats(7, Math.max(n, kernel === Sum ? 0 : 1), n + (kernel === Sum ? 0 : 1)) }),
}))));

const cube = (draw: Draw, n: number) => draw.floats(3, n, 5);
const permutations = [[0, 2, 1, 3], [0, 1, 3, 2], [2, 0, 1, 3], [3, 1, 2, 0], [1, 2, 3, 0], [0, 1, 2, 3]];

const moves: Row[] = [
  { kernel: Slice, form: 'of the first axis', attrs: { begin: [1, 0, 0], size: [2, -1, -1] }, large: 5001, inputs: (draw, n) => ({ x: cube(draw, n) }) },
  { kernel: Slice, form: 'of the middle axis', attrs: (n: number) => ({ begin: [0, n >> 1, 0], size: [3, n >> 2, 5] }), large: 5001, inputs: (draw, n) => ({ x: cube(draw, n) }) },
  { kernel: Slice, form: 'of the last axis', attrs: { begin: [0, 0, 2], size: [-1, -1, 3] }, large: 5001, inputs: (draw, n) => ({ x: cube(draw, n) }) },
  { kernel: Slice, form: 'of two axes', attrs: { begin: [1, 0, 2], size: [1, -1, 3] }, large: 5001, inputs: (draw, n) => ({ x: cube(draw, n) }) },
  ...[0, 1, 2].map((axis): Row => ({ kernel: SplitV, form: `on axis ${axis}`, attrs: { numOrSizeSplits: axis === 1 ? 3 : [1, -1, 2], axis }, large: 300, inputs: (draw, n) => ({ x: draw.floats(6, 3 * n, 9) }) })),
  ...[0, 1, 2].map((axis): Row => ({ kernel: Concat, form: `on axis ${axis}`, attrs: { axis }, large: 5001, inputs: (draw, n) => ({ 0: cube(draw, n), 1: cube(draw, n) }) })),
  { kernel: Concat, form: 'of different lengths', attrs: { axis: 1 }, large: 5001, inputs: (draw, n) => ({ 0: cube(draw, n), 1: cube(draw, n + 4) }) },
  ...[0, 1, 2].map((axis): Row => ({ kernel: Pack, form: `on axis ${axis}`, attrs: { axis }, large: 5001, inputs: (draw, n) => ({ 0: draw.floats(3, n), 1: draw.floats(3, n) }) })),
  ...[0, 1, 2].map((axis): Row => ({ kernel: Unpack, form: `on axis ${axis}`, attrs: { axis }, large: 300, inputs: (draw, n) => ({ value: cube(draw, n) }) })),
  { kernel: PadV2, form: 'of the middle axis', attrs: { paddings: [[0, 0], [2, 3], [0, 0]], constantValue: -1.5 }, large: 5001, inputs: (draw, n) => ({ x: cube(draw, n) }) },
  { kernel: PadV2, form: 'of two axes', attrs: { paddings: [[1, 2], [0, 0], [0, 1]], constantValue: 0 }, large: 2001, inputs: (draw, n) => ({ x: cube(draw, n) }) },
  { kernel: PadV2, form: 'by nothing', attrs: { paddings: [[0, 0], [0, 0], [0, 0]], constantValue: 0 }, large: 5001, inputs: (draw, n) => ({ x: cube(draw, n) }) },
  ...permutations.map((perm): Row => ({ kernel: Transpose, form: `by ${perm.join()}`, attrs: { perm }, large: 5001, inputs: (draw, n) => ({ x: draw.floats(2, n, 3, 4) }) })),
  { kernel: Transpose, form: 'of a matrix', attrs: { perm: [1, 0] }, large: 400, inputs: (draw, n) => ({ x: draw.floats(n, n + 3) }) },
  { kernel: StridedSlice, large: 5001, inputs: (draw, n) => ({ x: draw.floats(3, n + 3, 5) }), attrs: (n: number) => ({ begin: [0, 1, 4], end: [3, n + 3, 0], strides: [2, 3, -2], beginMask: 0, endMask: 0, ellipsisMask: 0, newAxisMask: 0, shrinkAxisMask: 0 }) },
  { kernel: Reverse, attrs: { dims: [1] }, large: 5001, inputs: (draw, n) => ({ x: cube(draw, n) }) },
  { kernel: Tile, attrs: { reps: [2, 3, 1] }, large: 2001, inputs: (draw, n) => ({ x: cube(draw, n) }) },
  { kernel: GatherV2, attrs: { axis: 1, batchDims: 0 }, large: 2001, inputs: (draw, n) => ({ x: draw.floats(3, 7, n), indices: draw.integers(7, n) }) },
  { kernel: ScatterNd, attrs: (n: number) => ({ shape: [7, n] }), large: 2001, tolerance: product, inputs: (draw, n) => ({ indices: draw.integers(7, 9, 1), updates: draw.floats(9, n) }) },
  { kernel: ZerosLike, isZero: true, inputs: elementwise, large: ELEMENTS },
  { kernel: OnesLike, inputs: elementwise, large: ELEMENTS },
  { kernel: Fill, attrs: (n: number) => ({ shape: [n, 3], value: -2.5, dtype: 'float32' }), inputs: () => ({}), large: ELEMENTS },
  { kernel: Cast, form: 'int32 to float32', attrs: { dtype: 'float32' }, large: ELEMENTS, inputs: (draw, n) => ({ x: draw.integers(1000, n) }) },
  { kernel: Cast, form: 'bool to float32', attrs: { dtype: 'float32' }, large: ELEMENTS, inputs: (draw, n) => ({ x: draw.bools(n) }) },
  { kernel: Cast, form: 'float32 to int32', attrs: { dtype: 'int32' }, large: ELEMENTS, inputs: elementwise },
];

/** ROWS — every kernel of this package in at least one form. */
export const ROWS: readonly Row[] = [...products, ...convolutions, ...ATTENTION_ROWS, ...norms, ...wideNorms, ...losses, ...layers, ...optimizers, ...spectral, ...unary, ...binary, ...logical, ...reductions, ...moves];

/** nameOf — the kernel and, where it has several rows, its form. */
export function nameOf({ kernel, form }: Row): string {
  return form === undefined ? kernel : `${kernel} ${form}`;
}
