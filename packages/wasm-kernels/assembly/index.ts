// Every exported function of the form (chunk, args, scratch) is a kernel: the host calls it by its exported name.
// Helpers on v128 (simd.ts, math.ts) are not exported from here.
export * from './threads';
export * from './gemmPack';
export * from './gemm';
export * from './gemmFewRows';
export * from './binary';
export * from './gelu';
