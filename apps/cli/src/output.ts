import type { WriteStream } from 'node:tty';
import { progressBar, progressLines, type Progress, type ProgressOptions } from './progress.ts';

/**
 * Io — everything a command says, so that commands never touch the process' streams.
 *
 * People read `line`s on standard output; with `--json` they go to standard error and standard output holds the result alone.
 */
export type Io = {
  readonly json: boolean;
  /** One or more lines for people. */
  line(text?: string): void;
  /** Text of a model as it comes, without a line break added. */
  text(chunk: string): void;
  /** A line about the work rather than of its result: always on standard error. */
  note(text: string): void;
  /** Progress of many steps: a bar where standard error is a terminal, otherwise a line now and then. */
  progress(options: ProgressOptions): Progress;
};

type Streams = { readonly out: NodeJS.WritableStream; readonly err: NodeJS.WritableStream };

/** terminalIo — the Io of the process' own streams. */
export function terminalIo(json: boolean, { out, err }: Streams = { out: process.stdout, err: process.stderr }): Io {
  const people = json ? err : out;
  return {
    json,
    line: (text = '') => void people.write(`${text}\n`),
    text: (chunk) => void people.write(chunk),
    note: (text) => void err.write(`${text}\n`),
    progress: (options) => (err as Partial<WriteStream>).isTTY === true
      ? progressBar(options, err)
      : progressLines(options, (text) => void people.write(`${text}\n`)),
  };
}

/** writeResult — the one line of JSON that ends a `--json` run; resolves when the stream has taken it. */
export function writeResult(result: object, out: NodeJS.WritableStream = process.stdout): Promise<void> {
  return written(out, `${JSON.stringify(result)}\n`);
}

/** written — writes `text` and resolves once it has left, so that the process may end. */
export function written(stream: NodeJS.WritableStream, text: string): Promise<void> {
  return new Promise((resolve) => stream.write(text, () => resolve()));
}
