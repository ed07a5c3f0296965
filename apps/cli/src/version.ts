import { createRequire } from 'node:module';

/** version — of this release. */
export const version = (): string => (createRequire(import.meta.url)('../package.json') as { version: string }).version;
