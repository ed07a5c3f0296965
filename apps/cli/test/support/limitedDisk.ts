/**
 * Loaded with `--import` before the program: files under TEST_DISK_PATH take TEST_DISK_BYTES bytes in all, what is overwritten
 * or removed not given back; then every write fails with ENOSPC.
 */
import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';

const root = process.env['TEST_DISK_PATH'] as string;
let free = Number(process.env['TEST_DISK_BYTES']);

function take(path: unknown, bytes: number): void {
  if (typeof path !== 'string' || !path.startsWith(root)) return;
  free -= bytes;
  if (free < 0) throw Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC', syscall: 'write', errno: -28 });
}

const { open, appendFile } = fs.promises;
fs.promises.open = async (path, ...rest) => {
  const handle = await open(path, ...rest);
  const write = handle.write.bind(handle) as (...args: unknown[]) => Promise<unknown>;
  handle.write = (async (...args: unknown[]) => {
    take(path, (args[2] as number | undefined) ?? (args[0] as Uint8Array).byteLength);
    return write(...args);
  }) as typeof handle.write;
  return handle;
};
fs.promises.appendFile = async (path, data, options) => {
  take(path, Buffer.byteLength(data as string));
  return appendFile(path, data, options);
};
syncBuiltinESMExports();
