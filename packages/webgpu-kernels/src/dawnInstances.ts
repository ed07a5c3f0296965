/** dawnInstances — those of npm `webgpu`, by their flags: one must outlive its devices, and `navigator.gpu` may hold one that we put there. */
export const dawnInstances = new Map<string, GPU>();
