/** What every contender written in TypeScript does: one JSON request per line in, one JSON answer per line out. */
import { Console } from 'node:console';
import { createInterface } from 'node:readline';
import type { ADAM, BertSizes, GptSizes, StepSizes, VitSizes } from './workloads.ts';

/** Request — `sizes` where the workload is a training step; `adam` for contenders that cannot import it. */
export type Request = {
  readonly workload: string; readonly warmup: number; readonly samples: number; readonly sizes?: StepSizes; readonly adam: typeof ADAM;
};
/** Answer — `peakBytes`: the most that a training step had in use at once, from contenders that can tell. */
export type Answer = { readonly times: number[]; readonly about: string; readonly peakBytes?: number } | { readonly error: string };

/** Run — does the work once; a training step gives its loss. */
export type Run = () => Promise<number | void>;

/** Work — a run, and what must follow it outside of the time that counts. */
export type Work = Run | { readonly run: Run; readonly settle: () => Promise<void> };

/** Makers — prepare each kind of workload, and throw where the contender computes something wrong. */
export type Makers = {
  readonly product: (size: number) => Work | Promise<Work>;
  readonly attention: () => Work | Promise<Work>;
  readonly gptStep: (sizes: GptSizes) => Work | Promise<Work>;
  readonly vitStep?: (sizes: VitSizes) => Work | Promise<Work>;
  readonly bertStep?: (sizes: BertSizes) => Work | Promise<Work>;
  /** Causal attention over 2,048 tokens, all or some of them. */
  readonly longAttention?: (isWindowed: boolean) => Work | Promise<Work>;
  /** Launches that are handed over and not waited for. */
  readonly record?: () => Work | Promise<Work>;
};

/** PeakWatch — starts to watch memory; the result tells the most bytes in use since then, beyond those in use at the start. */
export type PeakWatch = () => () => number;

/** Watches — what a contender can tell of its device: memory, and by throwing that something went wrong. */
export type Watches = { readonly watchPeak?: PeakWatch; readonly check?: () => void };

type Job = { readonly work: Work; readonly losses: number[]; readonly peak: (() => number) | undefined };

/** serve — answers until standard input ends. What goes wrong is the answer, not the end of the process. */
export async function serve(about: string, makers: Makers, { watchPeak, check = () => {} }: Watches = {}): Promise<void> {
  globalThis.console = new Console(process.stderr); // libraries that print shall not answer
  const made = new Map<string, Job>();
  for await (const line of createInterface({ input: process.stdin })) {
    let answer: Answer;
    try {
      const request = JSON.parse(line) as Request;
      let job = made.get(request.workload);
      if (job === undefined) {
        const peak = request.sizes === undefined ? undefined : watchPeak?.();
        job = { work: await make(request, makers), losses: [], peak };
        made.set(request.workload, job);
      }
      const times = await timed(job, request);
      check();
      answer = { times, about, peakBytes: job.peak?.() };
    } catch (error) {
      answer = { error: error instanceof Error ? error.message : String(error) };
    }
    process.stdout.write(`${JSON.stringify(answer)}\n`);
  }
  process.exit(0); // workers of a contender may still be waiting
}

function make({ workload, sizes }: Request, { product, attention, gptStep, vitStep, bertStep, longAttention, record }: Makers): Work | Promise<Work> {
  const [kind, size] = workload.split('-');
  if (sizes !== undefined && 'gpt' in sizes) return gptStep(sizes.gpt);
  if (sizes !== undefined && 'vit' in sizes && vitStep !== undefined) return vitStep(sizes.vit);
  if (sizes !== undefined && 'bert' in sizes && bertStep !== undefined) return bertStep(sizes.bert);
  if (kind === 'matmul') return product(Number(size));
  if (kind === 'attention') return attention();
  if (kind === 'record' && record !== undefined) return record();
  if ((kind === 'window' || kind === 'full') && longAttention !== undefined) return longAttention(kind === 'window');
  throw new Error(`not made for ${workload}`);
}

async function timed({ work, losses }: Job, { warmup, samples }: Request): Promise<number[]> {
  const { run, settle = async () => {} } = typeof work === 'function' ? { run: work } : work;
  const times: number[] = [];
  for (let i = 0; i < warmup + samples; i++) {
    const start = performance.now();
    const loss = await run();
    if (i >= warmup) times.push(performance.now() - start);
    if (typeof loss === 'number') losses.push(loss);
    await settle();
  }
  const [first, last] = [losses[0], losses.at(-1)];
  if (first !== undefined && !((last as number) < first)) throw new Error(`the loss must fall, got ${first} at first and ${last} at last`);
  return times;
}
