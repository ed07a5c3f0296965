/** A contender of `pnpm bench:peers`: a process that stays alive between the requests, so that it is warm. */
import { spawn, type ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';
import type { Answer, Request } from './serve.ts';

/** LIMIT_MS — longest wait for one answer. */
const LIMIT_MS = 90_000;

type Live = { readonly child: ChildProcess; readonly lines: AsyncIterator<string> };

export class Contender {
  readonly name: string;
  readonly #command: readonly string[];
  #live: Live | undefined;

  constructor(name: string, command: readonly string[]) {
    this.name = name;
    this.#command = command;
  }

  /** Its answer. One that dies or is too slow is ended, and starts afresh when it is asked again. */
  async ask(request: Request): Promise<Answer> {
    const { child, lines } = (this.#live ??= this.#start());
    child.stdin?.write(`${JSON.stringify(request)}\n`);
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<'late'>((resolve) => { timer = setTimeout(() => resolve('late'), LIMIT_MS); });
    const next = await Promise.race([lines.next(), late]);
    clearTimeout(timer);
    if (next !== 'late' && next.done !== true) return JSON.parse(next.value) as Answer;
    this.end();
    return { error: next === 'late' ? `no answer within ${LIMIT_MS / 1000} s` : 'its process ended' };
  }

  end(): void {
    this.#live?.child.kill();
    this.#live = undefined;
  }

  #start(): Live {
    const [file, ...args] = this.#command as [string, ...string[]];
    const child = spawn(file, args, { stdio: ['pipe', 'pipe', 'inherit'] });
    child.stdin.on('error', () => {}); // a dead process shows in the end of its output
    return { child, lines: createInterface({ input: child.stdout })[Symbol.asyncIterator]() };
  }
}
