export { webgpu } from './webgpu.ts';
export type { WebgpuOptions } from './options.ts';
