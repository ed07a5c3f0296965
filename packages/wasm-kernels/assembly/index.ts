// Every exported function of the form (chunk, args, scratch) is a kernel: the host calls it by its exported name.
// Helpers on v128 (simd.ts, math.ts) are not exported from here.
export * from './threads';
export { gemmPackB } from './gemmPack';
export * from './gemm';
export * from './gemmFewRows';
export * from './binary';
export { gelu } from './gelu';
export { attention } from './attention';
export { addParts, attentionGrad } from './attentionGrad';
export { attentionBiasGrad } from './attentionBiasGrad';
export { norm, normGrad } from './norm';
export { crossEntropy, crossEntropyGrad, softmax } from './crossEntropy';
export { embedding, embeddingGrad } from './embedding';
export { adamw, scaledSums } from './optimizers';
export { momentum } from './momentum';
export { rootOfSum, shares } from './listSums';
export { columnMeans, factoredRoots, rowColumnSquares } from './factored';
export { activationGrad, silu } from './activationGrad';
export { glu, gluGrad } from './glu';
export { rotary } from './rotary';
export { unary } from './unary';
export { maxColumns, maxRows, sumColumns, sumRows } from './reduce';
export { copyBlocks, fill, transpose } from './move';
export { copyStrided } from './strided';
export { col2im, im2col } from './conv2d';
export { compare, select, truthsToFloats } from './logical';
export { dropout } from './dropout';
export { innerProducts, scaledWithoutOuter } from './spectral';
