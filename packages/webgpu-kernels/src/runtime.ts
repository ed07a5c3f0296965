/** isNode — whether this is Node (or a runtime that stands in for it), not a browser page or worker. */
export const isNode = (): boolean => typeof process !== 'undefined' && typeof process.versions?.node === 'string';
