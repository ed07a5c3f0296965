export { initLayerNorm, layerNorm, layerNormLayer, type LayerNormLayerOptions, type LayerNormOptions, type LayerNormParams } from './layerNorm.ts';
export { initRmsNorm, rmsNorm, rmsNormLayer, type RmsNormOptions, type RmsNormParams } from './rmsNorm.ts';
