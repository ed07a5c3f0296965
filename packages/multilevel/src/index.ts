export { coalesce } from './coalesce.ts';
export { decoalesce } from './decoalesce.ts';
export { interpolate } from './interpolate.ts';
export { checkMaps } from './checkMaps.ts';
export type { MapOptions } from './options.ts';
export type { GroupingKind } from './grouping.ts';
