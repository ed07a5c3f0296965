#!/usr/bin/env node
import { enableCompileCache } from 'node:module';
import { describeFailure } from './errors.ts';

enableCompileCache(); // halves the time to the first step from the second start on

/** A reader that has seen enough (`evenkeel generate … | head`) ends the program as SIGPIPE ends others: without a word. */
for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (stream.isTTY && error.code === 'EIO') return; // the terminal was closed: SIGHUP decides what becomes of the run
    process.exit(error.code === 'EPIPE' ? 141 : 1);
  });
}

/** Whatever happens, a progress bar must not leave the terminal without its cursor. */
process.on('exit', () => {
  if (process.stderr.isTTY) process.stderr.write('\u001B[?25h');
});

/** What no promise caught: still one line. */
process.on('uncaughtException', (error) => {
  process.stderr.write(`${describeFailure(error).line}\n`);
  if (process.argv.includes('--debug')) process.stderr.write(`${error.stack ?? ''}\n`);
  process.exit(1);
});

const { run } = await import('./program.ts');
const { written } = await import('./output.ts');
const exitCode = await run(process.argv.slice(2));
await Promise.all([written(process.stdout, ''), written(process.stderr, '')]); // a pipe may still be taking what was said
process.exit(exitCode); // the devices keep threads alive
