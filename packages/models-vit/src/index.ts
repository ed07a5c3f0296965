export { vit, type Vit, type VitBatch, type VitLogits, type VitParams, type VitTechniques } from './vit.ts';
export { vitConfig, type VitActivation, type VitConfig, type VitSizes } from './vitConfig.ts';
export { targetCrossEntropy } from './targetCrossEntropy.ts';
export { loadVit, saveVit, vitEntries, vitFromFile, type LoadedVit, type LoadVitOptions, type SaveVitOptions } from './vitCheckpoint.ts';
export { vitConfigFromJson, vitConfigToJson, type VitCheckpointConfig, type VitJsonOptions } from './vitCheckpointConfig.ts';
export { vitNames, type VitLayout } from './vitNames.ts';
