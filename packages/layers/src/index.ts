export { linear, linearLayer, type LinearLayerOptions, type LinearParams } from './linear.ts';
export { embedding, type EmbeddingParams } from './embedding.ts';
export { gelu, type GeluOptions } from './gelu.ts';
export { silu } from './silu.ts';
export { dropout, type DropoutOptions } from './dropout.ts';
export { mlpLayer, type Activation, type MlpLayerOptions } from './mlp.ts';
export { crossEntropy, crossEntropyPerToken, type CrossEntropyOptions } from './crossEntropy.ts';
export { transformerBlock, type KvCache, type Placement, type TransformerBlock, type TransformerBlockConfig } from './transformerBlock.ts';
export { initialiserOfLayers, specsOfLayers, type LayerTree } from './layerTree.ts';
