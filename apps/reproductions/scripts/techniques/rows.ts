import type { AttentionFn, GradientTransform, Params, ParamSpec, Tree } from '@evenkeel/core-tensor';
import { monitor } from '@evenkeel/diagnostics';
import { alibiSlopesFor, flashAttention } from '@evenkeel/flash-attention';
import { gatedMlpLayer, layerNormScaling, layerScale, lora, rotaryAttention, stochasticDepth } from '@evenkeel/layers';
import { dynamicTanhLayer, qkNorm, rmsNormLayer } from '@evenkeel/norms';
import {
  adafactor, adamw, chain, clipByGlobalNorm, lamb, lars, layerwiseDecay, lion, muon, muP, sam, sgd, sgdSai,
} from '@evenkeel/optimizers';
import { sigmaReparam } from '@evenkeel/sigma-reparam';
import type { StageOptions } from '@evenkeel/training';
import type { Batch, FamilyName, Techniques } from './families.ts';

/** Row — a technique, and how it is asked for. */
export type Row = {
  readonly name: string;
  /** As it stands in code. */
  readonly code: string;
  readonly source?: string;
  readonly techniques?: Techniques;
  /** Default `adamw`. */
  readonly optimizer?: (specs: Tree<ParamSpec>) => GradientTransform;
  readonly training?: Pick<StageOptions<Params, Batch>, 'gradient' | 'microBatches' | 'lossScale' | 'monitor'>;
  /** Whether the steps are those of a cycle of two levels. */
  readonly cycle?: boolean;
  /** Where it must leave the losses as they are without it, up to rounding; everywhere else it must change them. */
  readonly keepsLoss?: readonly FamilyName[];
  /** Where it is out of place, and why. */
  readonly not?: Partial<Record<FamilyName, string>>;
};

const EVERYWHERE: readonly FamilyName[] = ['gpt', 'bert', 'vit'];
const LEARNING_RATE = 3e-2;

const within = (left: number, right: number): AttentionFn => (q, k, v, call) => flashAttention(q, k, v, { ...call, window: [left, right] });
const alibi: AttentionFn = (q, k, v, call) => flashAttention(q, k, v, { ...call, alibiSlopes: alibiSlopesFor(q.shape[2] as number) });

const placements = ([
  ['pre', 'arXiv:2002.04745'], ['post', 'arXiv:1706.03762'], ['peri', 'arXiv:2502.02732'], ['output', 'arXiv:2501.00656'],
  ['lns', 'arXiv:2502.05795'], ['deepnorm', 'arXiv:2203.00555'], ['none', ''],
] as const).map(([placement, source]): Row => ({ name: `placement \`${placement}\``, code: `placement: '${placement}'`, source, techniques: { placement }, ...(placement === 'pre' && { keepsLoss: ['gpt', 'vit'] }) }));

const parts: Row[] = [
  { name: 'layer norm scaling after the sub-layer', code: "placement: layerNormScaling({ position: 'afterSublayer' })", source: 'arXiv:2502.05795', techniques: { placement: layerNormScaling({ position: 'afterSublayer' }) } },
  { name: 'sigmaReparam', code: 'linear: sigmaReparam()', source: 'arXiv:2303.06296', techniques: { linear: sigmaReparam() } },
  { name: 'sigmaReparam without norms', code: "linear: sigmaReparam(), placement: 'none'", source: 'arXiv:2303.06296', techniques: { linear: sigmaReparam(), placement: 'none' } },
  { name: 'LoRA', code: 'linear: lora({ rank: 2 })', source: 'arXiv:2106.09685', techniques: { linear: lora({ rank: 2 }) } },
  { name: 'qk-norm', code: 'qkNorm: qkNorm()', source: 'arXiv:2309.14322', techniques: { qkNorm: qkNorm() } },
  { name: 'RMSNorm', code: 'norm: rmsNormLayer()', source: 'arXiv:1910.07467', techniques: { norm: rmsNormLayer() } },
  { name: 'dynamic tanh', code: 'norm: dynamicTanhLayer()', source: 'arXiv:2503.10622', techniques: { norm: dynamicTanhLayer() } },
  { name: 'norm of the embedding', code: 'embeddingNorm: rmsNormLayer()', techniques: { embeddingNorm: rmsNormLayer() }, not: { bert: 'has one always: `norm` makes it' } },
  { name: 'gated MLP', code: 'mlp: gatedMlpLayer()', source: 'arXiv:2002.05202', techniques: { mlp: gatedMlpLayer({ hiddenDim: 24 }) } },
  { name: 'dropout', code: 'dropout: 0.2', techniques: { dropout: 0.2 } },
  { name: 'stochastic depth', code: 'branch: stochasticDepth()', source: 'arXiv:1603.09382', techniques: { branch: stochasticDepth({ rate: 0.5 }) } },
  { name: 'layer scale', code: 'branch: layerScale()', source: 'arXiv:2103.17239', techniques: { branch: layerScale() } },
  { name: 'both', code: 'branch: stochasticDepth({ branch: layerScale() })', techniques: { branch: stochasticDepth({ rate: 0.5, branch: layerScale({ init: 0.1 }) }) } },
  { name: 'window attention', code: 'attention: (q, k, v, o) => flashAttention(q, k, v, { ...o, window: [1, 1] })', source: 'arXiv:2004.05150', techniques: { attention: within(1, 1) } },
  { name: 'ALiBi', code: 'attention: (q, k, v, o) => flashAttention(q, k, v, { ...o, alibiSlopes })', source: 'arXiv:2108.12409', techniques: { attention: alibi } },
  { name: 'rotary positions', code: 'attention: rotaryAttention(flashAttention)', source: 'arXiv:2104.09864', techniques: { attention: rotaryAttention(flashAttention) } },
  { name: 'rematerialisation', code: 'rematerialise: true', source: 'arXiv:1604.06174', techniques: { rematerialise: true }, keepsLoss: EVERYWHERE },
];

const optimizers: Row[] = [
  { name: 'AdamW', code: 'adamw()', source: 'arXiv:1711.05101', keepsLoss: EVERYWHERE },
  { name: 'SGD with momentum', code: 'sgd({ momentum: 0.9 })', optimizer: () => sgd({ learningRate: 0.1, momentum: 0.9 }) },
  { name: 'SGD-SaI', code: 'sgdSai()', source: 'arXiv:2412.11768', optimizer: () => sgdSai({ learningRate: 0.1 }) },
  { name: 'Lion', code: 'lion()', source: 'arXiv:2302.06675', optimizer: () => lion({ learningRate: 1e-3 }) },
  { name: 'LARS', code: 'lars()', source: 'arXiv:1708.03888', optimizer: () => lars({ learningRate: 1 }) },
  { name: 'LAMB', code: 'lamb()', source: 'arXiv:1904.00962', optimizer: () => lamb({ learningRate: LEARNING_RATE }) },
  { name: 'Adafactor', code: 'adafactor()', source: 'arXiv:1804.04235', optimizer: () => adafactor() },
  { name: 'Muon', code: 'muon(specs)', source: 'arXiv:2502.16982', optimizer: (specs) => muon(specs, { learningRate: LEARNING_RATE }) },
  { name: 'clipped gradients', code: 'chain(clipByGlobalNorm(0.1), sgd())', source: 'arXiv:1211.5063', optimizer: () => chain(clipByGlobalNorm(0.1), sgd({ learningRate: 0.1 })) },
  { name: 'layer-wise decay', code: 'learningRateScales: layerwiseDecay(specs)', source: 'arXiv:2106.08254', optimizer: (specs) => adamw({ learningRate: LEARNING_RATE, learningRateScales: layerwiseDecay(specs, { decay: 0.5 }) }) },
  { name: 'muP', code: 'learningRateScales: muP(specs, { baseWidth }).learningRateScales', source: 'arXiv:2309.14322', optimizer: (specs) => adamw({ learningRate: LEARNING_RATE, learningRateScales: muP(specs, { baseWidth: 8 }).learningRateScales }) },
];

const methods: Row[] = [
  { name: 'SAM', code: 'train({ gradient: sam() })', source: 'arXiv:2010.01412', training: { gradient: sam() } },
  { name: 'micro-batches', code: 'train({ microBatches: 2 })', training: { microBatches: 2 }, keepsLoss: EVERYWHERE },
  { name: 'dynamic loss scale', code: "train({ lossScale: 'dynamic' })", source: 'arXiv:1710.03740', training: { lossScale: 'dynamic' }, keepsLoss: EVERYWHERE },
  { name: 'monitor', code: 'train({ monitor: monitor() })', source: 'arXiv:2309.14322', training: { monitor: monitor({ every: 2, visibleKeys: 'all' }) }, keepsLoss: EVERYWHERE },
  { name: 'multi-level cycle', code: 'multilevelTrain({ levels: [large, small] })', source: 'arXiv:2404.07999', cycle: true },
];

/** SECTIONS — all techniques, in the order of the page. */
export const SECTIONS: Readonly<Record<string, readonly Row[]>> = {
  'Where norms stand': placements, 'Parts of a model': parts, Optimizers: optimizers, 'The training step': methods,
};

/** PLAIN — no technique: what the others are held against. */
export const PLAIN: Row = { name: 'plain', code: '' };

/** optimizerOf — a fresh optimizer for a model of these specs. */
export const optimizerOf = ({ optimizer }: Row, specs: Tree<ParamSpec>): GradientTransform => optimizer?.(specs) ?? adamw({ learningRate: LEARNING_RATE });
