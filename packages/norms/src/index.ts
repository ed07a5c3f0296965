export { initLayerNorm, layerNorm, type LayerNormOptions, type LayerNormParams } from './layerNorm.ts';
export { layerNormLayer, type LayerNormLayerOptions } from './layerNormLayer.ts';
export { addLayerNorm } from './addLayerNorm.ts';
export { initRmsNorm, rmsNorm, type RmsNormOptions, type RmsNormParams } from './rmsNorm.ts';
export { rmsNormLayer } from './rmsNormLayer.ts';
export { addRmsNorm } from './addRmsNorm.ts';
export { qkNorm } from './qkNorm.ts';
