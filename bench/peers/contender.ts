/** A contender of `pnpm bench:peers`: a process that stays alive between the requests, so that it is warm. */
import { spawn, type ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';
import type { Answer, Request } from './serve.ts';

/** Longest wait for one answer: on a software adapter shaders may take a minute to compile. */
const LIMIT_MS = 120_000;

/** Contender — `ask` gives its answer; one that dies or is too slow is ended, and starts afresh when it is asked again; `only`: the workloads it is for, where it is not all. */
export type Contender = { readonly name: string; readonly only?: readonly string[]; readonly ask: (request: Request) => Promise<Answer>; readonly end: () => void };

type Live = { readonly child: ChildProcess; readonly lines: AsyncIterator<string> };

/** contender — its process starts with the first question. */
export function contender(name: string, command: readonly string[], only?: readonly string[]): Contender {
  let live: Live | undefined;
  const end = (): void => {
    live?.child.kill();
    live = undefined;
  };
  return {
    name,
    only,
    end,
    async ask(request) {
      const { child, lines } = (live ??= start(command));
      child.stdin?.write(`${JSON.stringify(request)}\n`);
      let timer: NodeJS.Timeout | undefined;
      const late = new Promise<'late'>((resolve) => { timer = setTimeout(() => resolve('late'), LIMIT_MS); });
      const next = await Promise.race([lines.next(), late]);
      clearTimeout(timer);
      if (next !== 'late' && next.done !== true) return JSON.parse(next.value) as Answer;
      end();
      return { error: next === 'late' ? `no answer within ${LIMIT_MS / 1000} s` : 'its process ended' };
    },
  };
}

function start([file, ...args]: readonly string[]): Live {
  const child = spawn(file as string, args, { stdio: ['pipe', 'pipe', 'inherit'] });
  child.stdin.on('error', () => {}); // a dead process shows in the end of its output
  return { child, lines: createInterface({ input: child.stdout })[Symbol.asyncIterator]() };
}
