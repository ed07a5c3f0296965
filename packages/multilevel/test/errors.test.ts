import { ones, type Tensor } from '@tensorflow/tfjs-core';
import { treeMap, type ParamSpec, type Tree } from '@evenkeel/core-tensor';
import { gatedMlpLayer } from '@evenkeel/layers';
import { gpt, type GptSizes, type GptTechniques } from '@evenkeel/models-gpt';
import { checkMaps, coalesce, decoalesce, type MapOptions } from '@evenkeel/multilevel';
import { qkNorm } from '@evenkeel/norms';
import { sigmaReparam } from '@evenkeel/sigma-reparam';
import { describe, expect, it } from 'vitest';

type Options = Partial<GptSizes> & GptTechniques;

const specsOf = (options: Options = {}): Tree<ParamSpec> => gpt({ vocabSize: 5, contextLength: 4, depth: 2, dim: 8, numHeads: 2, tiedHead: false, ...options }).specs;
const paramsOf = (specs: Tree<ParamSpec>): Tree<Tensor> => treeMap(({ shape }) => ones([...shape]) as Tensor, specs);
const wide = { dim: 16, numHeads: 4 };
const one = (spec: Partial<ParamSpec> & { shape: number[] }): Tree<ParamSpec> => ({ w: { axes: 'dim', role: 'norm', ...spec } as ParamSpec });

/** Both directions check the same, before anything is computed. */
function refuses(small: Tree<ParamSpec>, large: Tree<ParamSpec>, message: string, options?: MapOptions): void {
  expect(() => checkMaps(large, small, options)).toThrow(`checkMaps: ${message}`);
  expect(() => coalesce({}, large, small, options)).toThrow(`coalesce: ${message}`);
  expect(() => decoalesce({}, small, large, options)).toThrow(`decoalesce: ${message}`);
}

describe('specs that do not fit', () => {
  it.each<[string, Options, Options, string, MapOptions?]>([
    ['a head size that changes with the width', { numHeads: 4 }, wide, 'blocks.0.attn.qkv.weight must have the same headDim in both models, got 2 in the small one and 4 in the large one'],
    ['a width that is no multiple', { dim: 12, numHeads: 3 }, wide, 'tokenEmbedding.weight must have dim in the large model that is a multiple of the small one\'s, got 16 and 12'],
    ['a small model that is the larger', wide, {}, 'tokenEmbedding.weight must be at most as large along dim in the small model as the 8 in the large one, got 16'],
    ['another vocabulary', { vocabSize: 6 }, wide, 'tokenEmbedding.weight must be at most as large along vocab in the small model as the 5 in the large one, got 6'],
    ['a smaller vocabulary', { vocabSize: 4 }, wide, 'tokenEmbedding.weight must have the same size along vocab in both models; only dim, hidden, qkv and heads may differ, got 4 and 5'],
    ['fewer positions', { contextLength: 3 }, wide, 'positionEmbedding.weight must have the same size along position in both models; only dim, hidden, qkv and heads may differ, got 3 and 4'],
    ['more blocks', { depth: 3 }, wide, 'blocks must have from 1 to 2 blocks in the small model, got 3'],
    ['a norm that the large model lacks', { placement: 'pre' }, { ...wide, placement: 'post' }, 'the large model must have norm.weight, a counterpart of norm.weight, got specs without it'],
    ['a norm that the small model lacks', { placement: 'pre' }, { ...wide, placement: 'peri' }, 'the small model must have blocks.0.norm1Out.weight, the counterpart of blocks.0.norm1Out.weight, got specs without it'],
    ['another MLP', { mlp: gatedMlpLayer() }, wide, 'the large model must have blocks.0.mlp.gate.weight, a counterpart of blocks.0.mlp.gate.weight, got specs without it'],
    ['key heads that stacked groups would tear from their queries', { numHeads: 2, numKvHeads: 2 }, { ...wide, numKvHeads: 2 },
      "blocks.0.attn.qkv.weight must have as many query heads per key head in both models, or widthGrouping 'adjacent', got 1 in the small model and 2 in the large one"],
    ['norms of heads of another size', { qkNorm: qkNorm(), numHeads: 1 }, { ...wide, qkNorm: qkNorm() }, 'blocks.0.attn.qkv.weight must have the same headDim in both models, got 8 in the small one and 4 in the large one'],
    ['spectral norms of weights with uneven groups', { linear: sigmaReparam(), hiddenDim: 20 }, { ...wide, linear: sigmaReparam(), hiddenDim: 31 },
      'blocks.0.mlp.up.gamma must be the spectral norm of a weight whose groups have one size, got groups of 1 and 2. Choose sizes in proportion, or fold it into the weight.'],
    ['a head and none', { tiedHead: true }, wide, 'the small model must have head.weight, the counterpart of head.weight, got specs without it'],
    ['a tied head', { tiedHead: true }, { ...wide, tiedHead: true },
      'logitScale.small must be 2 · logitScale.large, since tokenEmbedding.weight is the head too (no parameter has role head), got 1 and 1. Give the models such factors of their logits, or heads of their own.'],
    ['a tied head with the factor the wrong way round', { tiedHead: true }, { ...wide, tiedHead: true }, 'logitScale.small must be 2 · logitScale.large', { logitScale: { small: 0.5 } }],
    ['factors that differ without need', {}, wide, 'logitScale.small must be the same as logitScale.large, got 2 and 1. Give both models one factor.', { logitScale: { small: 2 } }],
  ])('%s', (_, small, large, message, options) => refuses(specsOf(small), specsOf(large), message, options));

  it.each<[string, Tree<ParamSpec>, Tree<ParamSpec>, string, MapOptions?]>([
    ['axes', one({ shape: [2], axes: 'hidden' }), one({ shape: [4] }), "w must have the same axes in both models, got 'hidden' in the small one and 'dim' in the large one"],
    ['roles', one({ shape: [2], role: 'bias' }), one({ shape: [4] }), 'w must have the same role in both models, got bias in the small one and norm in the large one'],
    ['ranks', one({ shape: [2, 1] }), one({ shape: [4] }), 'w must have the same rank in both models, got 2 in the small one and 1 in the large one'],
    ['names of axes', one({ shape: [2, 1] }), one({ shape: [4, 1] }), "w must have a name for each of its 2 axes, got 'dim'"],
    ['parts', one({ shape: [4], axes: 'qkv', parts: [4] }), one({ shape: [8], axes: 'qkv', parts: [4, 4] }), 'w must have the same number of parts in both models, got 1 in the small one and 2 in the large one'],
    ['sums of parts', one({ shape: [4], axes: 'qkv', parts: [2, 2] }), one({ shape: [8], axes: 'qkv', parts: [4, 3] }), 'w must have parts that add up to 8, got 4 + 3'],
    ['heads that are cut', one({ shape: [6], axes: 'heads', headDim: 4 }), one({ shape: [12], axes: 'heads', headDim: 4 }), 'w must have heads that is a multiple of the head size 4 in the small model, got 6'],
    ['neighbouring heads of unknown size', one({ shape: [6], axes: 'heads' }), one({ shape: [12], axes: 'heads' }), "w must have headDim in its spec for widthGrouping 'adjacent', got none", { widthGrouping: 'adjacent' }],
    ['a layout that is not out in', one({ shape: [3, 3, 2, 4], axes: 'height width channel dim', role: 'hidden', fanIn: 18 }), one({ shape: [3, 3, 2, 8], axes: 'height width channel dim', role: 'hidden', fanIn: 18 }),
      'w must sum over all axes but the first, 48 inputs, got fanIn 18'],
    ['a second width', { a: { shape: [2], axes: 'dim', role: 'norm' }, b: { shape: [4], axes: 'dim', role: 'norm' } }, { a: { shape: [4], axes: 'dim', role: 'norm' }, b: { shape: [4], axes: 'dim', role: 'norm' } },
      'b must have dim 2 in the small model and 4 in the large one, as a has, got 4 in the small model and 4 in the large one'],
    ['a block without a number', { w: { shape: [2], axes: 'dim', role: 'norm', block: 0 } }, { w: { shape: [4], axes: 'dim', role: 'norm', block: 0 } },
      'w must name its block by a number, as in blocks.3.…, since its spec has block 0, got none'],
  ])('%s', (_, small, large, message, options) => refuses(small, large, message, options));

  it.each<[MapOptions, string]>([
    [{ widthGrouping: 'random' as never }, 'widthGrouping must be one of stacked, adjacent, got random'],
    [{ depthGrouping: 'pairs' as never }, 'depthGrouping must be one of stacked, adjacent, got pairs'],
    [{ logitScale: { small: 0 } }, 'logitScale.small must be a positive number, got 0'],
    [{ logitScale: { large: -1 } }, 'logitScale.large must be a positive number, got -1'],
  ])('options: %o', (options, message) => refuses(specsOf(), specsOf(wide), message, options));
});

describe('parameters that are not those of their specs', () => {
  it('are named: missing, of another shape, of another type, without a spec', () => {
    const [small, large] = [specsOf(), specsOf(wide)];
    const good = paramsOf(large) as Record<string, Tree<Tensor>>;
    expect(() => coalesce({ ...good, norm: {} }, large, small)).toThrow(/coalesce: params must have norm\.weight, got \d+ others/);
    expect(() => coalesce({ ...good, norm: { weight: ones([15]), bias: ones([16]) } }, large, small)).toThrow('coalesce: params.norm.weight must have shape [16], got [15]');
    expect(() => coalesce({ ...good, norm: { weight: ones([16], 'int32'), bias: ones([16]) } }, large, small)).toThrow('coalesce: params.norm.weight must have dtype float32, got int32');
    expect(() => coalesce({ ...good, extra: ones([1]) }, large, small)).toThrow('coalesce: params must have the parameters of its specs only, got extra besides');
    expect(() => decoalesce(good, small, large)).toThrow('decoalesce: small.tokenEmbedding.weight must have shape [5, 8], got [5, 16]');
  });
});
