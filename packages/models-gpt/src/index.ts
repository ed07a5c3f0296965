export { gpt, type Gpt, type GptCache, type GptParams, type GptTechniques } from './gpt.ts';
export { gptConfig, type GptActivation, type GptConfig, type GptSizes } from './gptConfig.ts';
export { generate, type GenerateOptions } from './generate.ts';
export { sampleToken, type SamplingOptions } from './sampling.ts';
export { gptEntries, gptFromFile, loadGpt, saveGpt } from './huggingFace.ts';
export { configFromHuggingFace, configToHuggingFace } from './huggingFaceConfig.ts';
export { gpt2Names, type Gpt2Weight } from './huggingFaceNames.ts';
