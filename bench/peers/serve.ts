/** What every contender written in TypeScript does: one JSON request per line in, one JSON answer per line out. */
import { createInterface } from 'node:readline';
import type { ADAM, GptSizes } from './workloads.ts';

/** Request — `sizes` where the workload is a training step; `adam` for contenders that cannot import it. */
export type Request = {
  readonly workload: string; readonly warmup: number; readonly samples: number; readonly sizes?: GptSizes; readonly adam: typeof ADAM;
};
/** Answer — `peakBytes`: the most that a training step had in use at once, from contenders that can tell. */
export type Answer = { readonly times: number[]; readonly about: string; readonly peakBytes?: number } | { readonly error: string };

/** Run — does the work once; a training step gives its loss. */
export type Run = () => Promise<number | void>;

/** Makers — prepare each kind of workload, and throw where the contender computes something wrong. */
export type Makers = {
  readonly product: (size: number) => Run | Promise<Run>;
  readonly attention: () => Run | Promise<Run>;
  readonly trainingStep: (sizes: GptSizes) => Run | Promise<Run>;
};

/** PeakWatch — starts to watch memory; the result tells the most bytes in use since then, beyond those in use at the start. */
export type PeakWatch = () => () => number;

type Job = { readonly run: Run; readonly losses: number[]; readonly peak: (() => number) | undefined };

/** serve — answers until standard input ends. What goes wrong is the answer, not the end of the process. */
export async function serve(about: string, makers: Makers, watchPeak?: PeakWatch): Promise<void> {
  const made = new Map<string, Job>();
  for await (const line of createInterface({ input: process.stdin })) {
    let answer: Answer;
    try {
      const request = JSON.parse(line) as Request;
      let job = made.get(request.workload);
      if (job === undefined) {
        const peak = request.sizes === undefined ? undefined : watchPeak?.();
        job = { run: await make(request, makers), losses: [], peak };
        made.set(request.workload, job);
      }
      answer = { times: await timed(job, request), about, peakBytes: job.peak?.() };
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

async function timed({ run, losses }: Job, { warmup, samples }: Request): Promise<number[]> {
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
