export { webgpu } from './webgpu.ts';
export type { WebgpuOptions } from './options.ts';
export type { Profile, ProgramTime } from './profiler.ts';
