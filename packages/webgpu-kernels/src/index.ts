export { webgpu } from './webgpu.ts';
export type { WebgpuOptions } from './options.ts';
export { profile } from './profile.ts';
export type { Profile, ProgramTime } from './profiler.ts';
export { tune, type Product } from './tune.ts';
export type { TunedClass, TuneOptions } from '@evenkeel/core-tensor';
export type { Tuning } from './tuner.ts';
