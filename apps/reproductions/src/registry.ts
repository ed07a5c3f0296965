import type { Reproduction } from './reproduction.ts';

/** REPRODUCTIONS — by slug; each is loaded when it is run. */
export const REPRODUCTIONS: Readonly<Record<string, () => Promise<Reproduction>>> = {
  'sigma-reparam': async () => (await import('./papers/sigmaReparam.ts')).sigmaReparam,
  'layernorm-scaling': async () => (await import('./papers/layernormScaling.ts')).layernormScaling,
  'peri-ln': async () => (await import('./papers/periLn.ts')).periLn,
  'small-scale-proxies': async () => (await import('./papers/smallScaleProxies.ts')).smallScaleProxies,
  'massive-activations': async () => (await import('./papers/massiveActivations.ts')).massiveActivations,
  'one-epoch': async () => (await import('./papers/oneEpoch.ts')).oneEpoch,
  'sgd-sai': async () => (await import('./papers/sgdSai.ts')).sgdSai,
  'deit-lt': async () => (await import('./papers/deitLt.ts')).deitLt,
  'foraug': async () => (await import('./papers/foraug.ts')).foraug,
  'multi-level-training': async () => (await import('./papers/multilevelTraining.ts')).multilevelTraining,
  mosaicbert: async () => (await import('./papers/mosaicBert.ts')).mosaicBert,
  tunbert: async () => (await import('./papers/tunBert.ts')).tunBert,
};

