/** What every contender written in TypeScript does: one JSON request per line in, one JSON answer per line out. */
import { createInterface } from 'node:readline';
import type { ADAM, GptSizes } from './workloads.ts';

/** Request — `sizes` where the workload is a training step; `adam` for contenders that cannot import it. */
export type Request = {
  readonly workload: string; readonly warmup: number; readonly samples: number; readonly sizes?: GptSizes; readonly adam: typeof ADAM;
};
export type Answer = { readonly times: number[]; readonly about: string } | { readonly error: string };

/** Run — does the work once; a training step gives its loss. */
export type Run = () => Promise<number | void>;

/** Makers — prepare each kind of workload, and throw where the contender computes something wrong. */
export type Makers = {
  readonly product: (size: number) => Run | Promise<Run>;
  readonly attention: () => Run | Promise<Run>;
  readonly trainingStep: (sizes: GptSizes) => Run | Promise<Run>;
};

/** serve — answers until standard input ends. What goes wrong is the answer, not the end of the process. */
export async function serve(about: string, makers: Makers): Promise<void> {
  const made = new Map<string, { run: Run; losses: number[] }>();
  for await (const line of createInterface({ input: process.stdin })) {
    let answer: Answer;
    try {
      const request = JSON.parse(line) as Request;
      const job = made.get(request.workload) ?? { run: await make(request, makers), losses: [] };
      made.set(request.workload, job);
      answer = { times: await timed(job, request), about };
    } catch (error) {
      answer = { error: error instanceof Error ? error.message : String(error) };
    }
    process.stdout.write(`${JSON.stringify(answer)}\n`);
  }
  process.exit(0); // workers of a contender may still be waiting
}

function make({ workload, sizes }: Request, { product, attention, trainingStep }: Makers): Run | Promise<Run> {
  if (workload.startsWith('matmul-')) return product(Number(workload.split('-')[1]));
  return sizes === undefined ? attention() : trainingStep(sizes);
}

async function timed({ run, losses }: { run: Run; losses: number[] }, { warmup, samples }: Request): Promise<number[]> {
  const times: number[] = [];
  for (let i = 0; i < warmup + samples; i++) {
    const start = performance.now();
    const loss = await run();
    if (i >= warmup) times.push(performance.now() - start);
    if (typeof loss === 'number') losses.push(loss);
  }
  const [first, last] = [losses[0], losses.at(-1)];
  if (first !== undefined && !((last as number) < first)) throw new Error(`the loss must fall, got ${first} at first and ${last} at last`);
  return times;
}
