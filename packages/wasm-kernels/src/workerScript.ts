import { FIRST_TABLE_INDEX } from './wasmModule.ts';

/** WorkerStart — what a worker is sent: after that it lives inside WebAssembly and never reads another message. */
export type WorkerStart = {
  readonly module: WebAssembly.Module;
  readonly memory: WebAssembly.Memory;
  /** Address of the thread's private memory. */
  readonly scratch: number;
};

/** The worker's whole program, as text, so that no bundler has to know about worker files. */
const BODY = `
const start = ({ module, memory, scratch }, ready) => {
  const names = WebAssembly.Module.exports(module).filter(({ kind }) => kind === 'function').map(({ name }) => name).sort();
  const table = new WebAssembly.Table({ initial: names.length + ${FIRST_TABLE_INDEX}, element: 'anyfunc' });
  const { exports } = new WebAssembly.Instance(module, { env: { memory, table } });
  names.forEach((name, i) => table.set(i + ${FIRST_TABLE_INDEX}, exports[name]));
  ready();
  try {
    exports.work(scratch);
  } catch (error) {
    exports.reportFailure();
    throw error;
  }
};`;

export const NODE_WORKER = `
const { parentPort, workerData } = require('node:worker_threads');${BODY}
start(workerData, () => parentPort.postMessage('ready'));`;

export const BROWSER_WORKER = `${BODY}
self.onmessage = ({ data }) => start(data, () => self.postMessage('ready'));`;
